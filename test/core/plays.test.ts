/**
 * The random plays reach every rule that sequence.test.ts speaks of; what never happens would be proved of
 * nothing. Always the same plays, from one seed.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { anyScript } from './moves.ts'
import { play } from './play.ts'
import type { FrameTold, SessionTold, Story } from './story.ts'

const stories = fc.sample(anyScript, { numRuns: 150, seed: 20_250_615 }).map(play)
const frames = stories.flatMap((story) => story.frames)
const sessions = stories.flatMap(({ books }) => books.flatMap(({ hub }) => hub))
const verdicts = stories.flatMap((story) => story.verdicts)

const someFrame = (is: (frame: FrameTold) => boolean) => frames.some(is)
const someSession = (is: (session: SessionTold) => boolean) => sessions.some(is)
const someStory = (is: (story: Story) => boolean) => stories.some(is)

function someRejected(reason: number, isWhole: boolean): boolean {
  return someFrame(({ kept }) =>
    kept.rejected.some(([, index, given]) => given === reason && (index === -1) === isWhole),
  )
}

/** Whether a session is like this and the same one, a look later, like that. */
function someChange(isLike: (before: SessionTold, after: SessionTold) => boolean): boolean {
  return someStory(({ books }) =>
    books.some(({ hub }, look) =>
      hub.some((before) =>
        books[look + 1]?.hub.some((after) => after.startMs === before.startMs && isLike(before, after)),
      ),
    ),
  )
}

test.each<[string, () => boolean]>([
  ['coordinates are rejected', () => someRejected(1, false)],
  ['points too far ahead are rejected', () => someRejected(2, false)],
  ['points that are too old are rejected', () => someRejected(3, false)],
  ['other fields are rejected', () => someRejected(4, false)],
  ['frames of a session too far ahead are rejected', () => someRejected(2, true)],
  ['frames of a session that is too old are rejected', () => someRejected(3, true)],
  [
    'SESSION frames are rejected',
    () => someStory(({ ops }) => ops.some(({ rejected }) => rejected.length > 0)),
  ],
  ['a frame is rejected in part', () => someFrame(({ kept }) => kept.count > 0 && kept.rejected.length > 0)],
  ['points go live', () => someFrame(({ kept }) => kept.live.length > 0)],
  ['points of two sessions go live at once', () => someFrame(({ kept }) => kept.live.length > 1)],
  ['points are left out', () => someFrame(({ kept }) => kept.leftOut !== null)],
  ['points ahead are kept', () => someFrame(({ expected }) => expected.kept.some(({ isAhead }) => isAhead))],
  ['automatic sessions are open', () => someSession((one) => one.automatic && one.status === 'active')],
  ['automatic sessions end', () => someSession((one) => one.automatic && one.status === 'ended')],
  ['explicit sessions are open', () => someSession((one) => !one.automatic && one.status === 'active')],
  ['explicit sessions are paused', () => someSession((one) => one.status === 'paused')],
  ['explicit sessions end', () => someSession((one) => !one.automatic && one.status === 'ended')],
  ['paused sessions are resumed', () => someChange((a, b) => a.status === 'paused' && b.status === 'active')],
  ['automatic sessions are claimed', () => someChange((a, b) => a.automatic && !b.automatic)],
  ['late points move an end', () => someChange((a, b) => a.endMs !== null && a.endMs < (b.endMs ?? 0))],
  [
    'connections are taken over',
    () => someStory(({ hellos }) => hellos.some(({ isTakeover }) => isTakeover)),
  ],
  ['a connection finds no window', () => someStory(({ refusedHellos }) => refusedHellos.length > 0)],
  [
    'something is left behind then',
    () => someStory((s) => s.refusedHellos.some((one) => one.leftBehind > 0)),
  ],
  [
    'a window shrinks',
    () => someStory(({ windows }) => windows.some((told) => told.windowPoints < told.windowBefore)),
  ],
  ['a device sends more than its window', () => verdicts.some(({ expected }) => expected === 'limit')],
  [
    'a device may send more than it has heard',
    () => verdicts.some((v) => !v.isCompliant && v.verdict === 'kept'),
  ],
  ['a seq does not grow', () => verdicts.some(({ expected }) => expected === 'sequence')],
])('%s', (_, happens) => {
  expect(happens()).toBe(true)
})
