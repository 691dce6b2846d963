/**
 * Whatever devices send and whenever it is stored: random plays on a hub in miniature, held against a model
 * that was written from PROTOCOL.md alone (model.ts).
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { runs } from '../rig/runs.ts'
import { rowsOf } from './frames.ts'
import { anyScript, type Script } from './moves.ts'
import { play } from './play.ts'
import type { FrameTold, Story } from './story.ts'

const RUNS = runs(100)

/** Acts out random scripts; a failure prints the seed and the shortest script found. */
function inEveryPlay(check: (story: Story, script: Script) => void): void {
  fc.assert(
    fc.property(anyScript, (script) => check(play(script), script)),
    { numRuns: RUNS },
  )
}

function inEveryFrame(check: (frame: FrameTold, script: Script) => void): void {
  inEveryPlay((story, script) => {
    for (const frame of story.frames) check(frame, script)
  })
}

const keptRows = ({ kept }: FrameTold) => rowsOf(kept.values, kept.count)
/** Places of the points that went live among those that were kept. */
const livePlaces = ({ kept }: FrameTold) =>
  kept.live.flatMap(({ from, to }) => Array.from({ length: to - from }, (_, i) => from + i))

describe('a point', () => {
  test('is rejected for a reason that applies to it, under its place in the frame, or else kept as sent', () => {
    inEveryFrame((frame) => {
      const { kept, seq, expected } = frame
      expect(kept.rejected.map(([frameSeq, index]) => [frameSeq, index])).toEqual(
        expected.rejected.map(({ index }) => [seq, index]),
      )
      kept.rejected.forEach(([, , reason], i) => {
        expect(expected.rejected[i]!.reasons).toContain(reason)
      })
      expect(keptRows(frame)).toEqual(expected.kept.map(({ row }) => row))
    })
  })

  test('is kept for a person to look at, as sent, when it is rejected for its time', () => {
    inEveryFrame(({ kept, sent }) => {
      const ofTime = kept.rejected.filter(
        ([, index, reason]) => index !== -1 && (reason === 2 || reason === 3),
      )
      if (kept.rejected.some(([, index]) => index === -1)) return
      expect(kept.deadLetters.map(({ reason, values }) => [reason, ...rowsOf(values)])).toEqual(
        ofTime.map(([, index, reason]) => [reason, sent[index]]),
      )
    })
  })

  test('goes live when it is newer than every earlier one, not too old and not ahead, in order', () => {
    inEveryFrame((frame) => {
      expect(livePlaces(frame)).toEqual(
        frame.expected.kept.flatMap(({ isLive }, place) => (isLive ? [place] : [])),
      )
    })
  })

  test('goes live with its session', () => {
    inEveryFrame((frame) => {
      frame.kept.live.forEach(({ from, to }, run) => {
        for (let i = from; i < to; i++) expect(frame.liveStarts[run]).toBe(frame.expectedStarts[i])
      })
    })
  })

  test('that is stored and not live is within the span left out, and the span has no more than these', () => {
    inEveryFrame((frame) => {
      const live = new Set(livePlaces(frame))
      const left = frame.expected.kept.filter(({ isAhead }, place) => !isAhead && !live.has(place))
      const times = left.map(({ row }) => row[0]!)
      expect(frame.kept.leftOut).toEqual(
        times.length === 0 ? null : { fromMs: Math.min(...times), toMs: Math.max(...times) },
      )
    })
  })

  test('is the last position when it is the newest that was at most 60 s ahead', () => {
    inEveryFrame(({ newest, expectedNewest }) => {
      expect(newest).toEqual(expectedNewest)
    })
  })

  test('belongs to the session of its frame, or the open explicit one, or a near automatic one, or a new one', () => {
    inEveryFrame(({ starts, expectedStarts }) => {
      expect(starts).toEqual(expectedStarts)
    })
  })
})

test('viewers see each device in strictly increasing order, at most 60 s ahead, each point once', () => {
  inEveryPlay(({ frames }) => {
    const shownMs = new Map<number, number>()
    for (const frame of frames) {
      const rows = keptRows(frame)
      for (const place of livePlaces(frame)) {
        const recordedMs = rows[place]![0]!
        expect(recordedMs).toBeGreaterThan(shownMs.get(frame.deviceId) ?? Number.NEGATIVE_INFINITY)
        expect(recordedMs).toBeLessThanOrEqual(frame.nowMs + 60_000)
        shownMs.set(frame.deviceId, recordedMs)
      }
    }
  })
})

describe('the sessions of a device', () => {
  test('have the status and the end that their ops and points give them', () => {
    inEveryPlay(({ books }) => {
      expect(books.map(({ hub }) => hub)).toEqual(books.map(({ model }) => model))
    })
  })

  test('never share a start', () => {
    inEveryPlay(({ books }) => {
      for (const { hub } of books) {
        const starts = new Set(hub.map(({ startMs }) => startMs))
        if (starts.size !== hub.length) expect([...starts]).toEqual(hub.map(({ startMs }) => startMs))
      }
    })
  })

  test('are all in the store as they are in the hub, once everything is stored', () => {
    inEveryPlay(({ atTheEnd }) => {
      expect(atTheEnd.map(({ store }) => store)).toEqual(atTheEnd.map(({ hub }) => hub))
    })
  })
})

test('a SESSION frame is rejected whole for a reason that applies to it, or else kept', () => {
  inEveryPlay(({ ops }) => {
    for (const { seq, rejected, reasons } of ops) {
      expect(rejected).toHaveLength(reasons.length === 0 ? 0 : 1)
      for (const [frameSeq, index, reason] of rejected) {
        expect([frameSeq, index]).toEqual([seq, -1])
        expect(reasons).toContain(reason)
      }
    }
  })
})

describe('what viewers count', () => {
  test('grows by one within an epoch, and a higher epoch begins at 1', () => {
    inEveryPlay(({ published }) => {
      const last = new Map<number, { epoch: number; n: number }>()
      for (const { deviceId, epoch, n } of published) {
        const before = last.get(deviceId)
        if (before?.epoch === epoch) expect(n).toBe(before.n + 1)
        else {
          expect(epoch).toBeGreaterThan(before?.epoch ?? 0)
          expect(n).toBe(1)
        }
        last.set(deviceId, { epoch, n })
      }
    })
  })

  test('has for each connection a higher epoch, which is the clock of the hub or one more than the last', () => {
    inEveryPlay(({ hellos }) => {
      for (const { epoch, epochBefore, nowMs } of hellos) expect(epoch).toBe(Math.max(nowMs, epochBefore + 1))
    })
  })
})

describe('a window', () => {
  test('is never told to be smaller than a batch, nor larger than the largest', () => {
    inEveryPlay(({ windows }, { credit }) => {
      for (const { windowPoints } of windows) {
        expect(windowPoints).toBeGreaterThanOrEqual(credit.batchPointsMax)
        expect(windowPoints).toBeLessThanOrEqual(credit.windowPointsMax)
      }
    })
  })

  test('takes back nothing that an earlier one granted', () => {
    inEveryPlay(({ windows }) => {
      for (const { acknowledged, windowPoints, grantedBefore } of windows) {
        expect(acknowledged + windowPoints).toBeGreaterThanOrEqual(grantedBefore)
      }
    })
  })

  test('refuses nothing to a device that goes by the last ACK that it has heard', () => {
    inEveryPlay(({ verdicts }) => {
      for (const { isCompliant, verdict } of verdicts) if (isCompliant) expect(verdict).toBe('kept')
    })
  })

  test('refuses what exceeds everything that was ever granted, and a seq that does not grow', () => {
    inEveryPlay(({ verdicts }) => {
      for (const { verdict, expected } of verdicts) expect(verdict).toBe(expected)
    })
  })

  test('is refused to a connection only when there are too many, or others left something behind', () => {
    inEveryPlay(({ refusedHellos }, { credit }) => {
      for (const { openWindows, leftBehind } of refusedHellos) {
        expect(openWindows === credit.devicesMax || leftBehind > 0).toBe(true)
      }
    })
  })
})

test('what devices may still send and what is not stored yet never exceed the backlog', () => {
  inEveryPlay(({ held }, { credit }) => {
    expect(Math.max(...held)).toBeLessThanOrEqual(credit.backlogPointsMax)
  })
})

describe('the backlog', () => {
  test('stores every frame of a device once, in the order it came, whatever the lane', () => {
    inEveryPlay(({ offered, done }) => {
      expect([...done.keys()].sort()).toEqual([...offered.keys()].sort())
      for (const [deviceId, entries] of offered) {
        expect(done.get(deviceId)!.map((entry) => entries.indexOf(entry))).toEqual([...entries.keys()])
      }
    })
  })

  test('has a device in one lane at a time', () => {
    inEveryPlay(({ lanesInUse }) => {
      expect(Math.max(...lanesInUse)).toBeLessThanOrEqual(1)
    })
  })

  test('is empty once everything is stored, and nothing is held for connections that have ended', () => {
    inEveryPlay(({ leftOver }) => {
      expect(Object.keys(leftOver)).toHaveLength(6)
      for (const count of Object.values(leftOver)) expect(count).toBe(0)
    })
  })
})
