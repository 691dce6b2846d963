/** Decoding and nothing else, in a process of its own: the least that any hub has to do with a point. */
import { decodeDeviceFrame } from '../../src/protocol/decode.ts'
import { serveTasks } from '../children.ts'
import { cpuMs } from '../clock.ts'
import { encodePoints, nextPoints, startCourse } from '../load/points.ts'

export type DecoderTasks = typeof tasks

const tasks = { decode }
serveTasks(tasks)

/** Each frame is decoded once, from memory of its own, as it would come from a socket. */
async function decode(input: {
  frames: number
  pointsPerFrame: number
}): Promise<{ cpuMicrosPerPoint: number }> {
  const { frames, pointsPerFrame } = input
  const course = startCourse(1, Date.now())
  const messages = Array.from({ length: frames }, (_, i) => {
    const bytes = encodePoints(i + 1, course.sessionMs, nextPoints(course, pointsPerFrame))
    return new Uint8Array(bytes).buffer
  })
  const startedMs = cpuMs()
  for (const message of messages) {
    if ('message' in decodeDeviceFrame(message, pointsPerFrame)) throw new Error('not understood')
  }
  return { cpuMicrosPerPoint: ((cpuMs() - startedMs) / frames / pointsPerFrame) * 1000 }
}
