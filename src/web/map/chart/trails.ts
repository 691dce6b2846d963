/**
 * The stretches that devices have gone while somebody looked, in a ring of fixed size on the graphics card: one
 * is written when it is done, and none is ever touched again. The oldest make room for the newest.
 */
import type { Gl } from './program.ts'

/** Two places split into a coarse and a fine part, when it was made, a colour. */
export const TRAIL_STRIDE = 40
export const TRAIL_LIFETIME_MS = 240_000

const STRETCHES_MAX = 131_072
const FLOATS = TRAIL_STRIDE / 4

export type Trails = ReturnType<typeof createTrails>

export function createTrails() {
  const bytes = new ArrayBuffer(STRETCHES_MAX * TRAIL_STRIDE)
  const floats = new Float32Array(bytes)
  const colors = new Uint8Array(bytes)
  /** Count ever written; the ring holds the last of them. */
  let written = 0
  let uploaded = 0
  let oldest = 0
  return { add, upload, ranges, clear }

  function add(
    x0: number,
    y0: number,
    x1: number,
    y1: number,
    nowMs: number,
    color: readonly number[],
  ): void {
    const at = (written % STRETCHES_MAX) * FLOATS
    split(x0, y0, at)
    split(x1, y1, at + 4)
    floats[at + 8] = nowMs / 1_000
    for (let i = 0; i < 3; i++) colors[(at + 9) * 4 + i] = color[i]!
    colors[(at + 9) * 4 + 3] = 255
    written += 1
  }

  function split(x: number, y: number, at: number): void {
    floats[at] = x
    floats[at + 1] = y
    floats[at + 2] = x - floats[at]!
    floats[at + 3] = y - floats[at + 1]!
  }

  /** Hands what is new to `buffer`, which has room for all. */
  function upload(gl: Gl, buffer: WebGLBuffer): void {
    uploaded = Math.max(uploaded, written - STRETCHES_MAX)
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer)
    while (uploaded < written) {
      const from = uploaded % STRETCHES_MAX
      const count = Math.min(written - uploaded, STRETCHES_MAX - from)
      gl.bufferSubData(gl.ARRAY_BUFFER, from * TRAIL_STRIDE, floats, from * FLOATS, count * FLOATS)
      uploaded += count
    }
  }

  /** What is still to be seen at `nowMs`: one range of the ring, or two. */
  function ranges(nowMs: number): { first: number; count: number }[] {
    oldest = Math.max(oldest, written - STRETCHES_MAX)
    const bornAfterS = (nowMs - TRAIL_LIFETIME_MS) / 1_000
    while (oldest < written && floats[(oldest % STRETCHES_MAX) * FLOATS + 8]! < bornAfterS) oldest += 1
    const first = oldest % STRETCHES_MAX
    const count = written - oldest
    const untilEnd = Math.min(count, STRETCHES_MAX - first)
    return [
      { first, count: untilEnd },
      { first: 0, count: count - untilEnd },
    ].filter((range) => range.count > 0)
  }

  function clear(): void {
    oldest = written
    uploaded = written
  }
}

/** For the buffer that `upload` writes to. */
export const TRAILS_BYTES = STRETCHES_MAX * TRAIL_STRIDE
