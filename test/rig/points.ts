/** Frames for tests, written from PROTOCOL.md and from nothing of src/. */

export const HELLO = 1
export const POINTS = 2
export const SESSION = 3
export const PING = 4
export const BYE = 6
export const SUB = 16
export const RESYNC = 18
export const SEEN = 19
export const WELCOME = 65
export const ACK = 66
export const PAUSE = 67
export const ERROR = 68
export const GOAWAY = 71
export const PONG = 72
export const RATE = 73
export const SNAP = 80
export const LIVE = 81
export const PRESENCE = 82
export const SESSION_CHANGE = 83
export const DEVICE = 84
export const GONE = 85
export const BACKFILLED = 88
export const TICK = 90
export const STATS = 96

/** Berlin, roughly; `i` moves it north by a metre or so. */
export function point(dtMs: number, i = 0): number[] {
  return [dtMs, 525_200_000 + i * 100, 134_050_000]
}

/** A POINTS frame of `count` points, a second apart, the first at `baseMs`. */
export function pointsFrame(
  seq: number,
  baseMs: number,
  count = 1,
  session: number | null = null,
): unknown[] {
  return [POINTS, seq, session, baseMs, Array.from({ length: count }, (_, i) => point(i * 1000, i))]
}
