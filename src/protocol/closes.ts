/**
 * Every way a connection ends (PROTOCOL.md section 5). The range of a code is its verdict, so a client
 * that meets a new code still knows what to do.
 */

export const CLOSE = {
  normal: { code: 1000, reason: 'bye' },
  internal: { code: 1011, reason: 'internal error' },
  restart: { code: 1012, reason: 'hub restarts' },
  unavailable: { code: 1013, reason: 'try again later' },
  sequence: { code: 4400, reason: 'seq went backwards' },
  slow: { code: 4402, reason: 'viewer did not keep up' },
  helloTimeout: { code: 4408, reason: 'no HELLO in time' },
  replaced: { code: 4409, reason: 'replaced by a newer connection' },
  limit: { code: 4429, reason: 'window or rate exceeded' },
  tokenExpired: { code: 4451, reason: 'token expired' },
  malformed: { code: 4500, reason: 'frame not understood' },
  refused: { code: 4503, reason: 'refused' },
} as const

export type Close = (typeof CLOSE)[keyof typeof CLOSE]

export const CLOSE_OVERSIZE = 1009
export const CLOSE_NONE_SEEN = 1006

/** What a client does after a close: by the table where it names the code, else by its range. */
export type Verdict =
  | { do: 'finish' }
  /** Reconnect after at least `delayMsMin`, beyond that with the usual jitter. */
  | { do: 'reconnect'; delayMsMin: number }
  /** Get a new token first. */
  | { do: 'renewToken' }
  /** Something in the frame at the head of the queue (D14). */
  | { do: 'inspect' }
  | { do: 'stop' }

export function verdictOf(code: number): Verdict {
  switch (code) {
    case 1000:
    case 1001:
      return { do: 'finish' }
    case CLOSE.unavailable.code:
      return { do: 'reconnect', delayMsMin: 5_000 }
    case CLOSE.replaced.code:
      return { do: 'reconnect', delayMsMin: 60_000 }
    case CLOSE.tokenExpired.code:
      return { do: 'renewToken' }
    case CLOSE.malformed.code:
      return { do: 'inspect' }
  }
  return code >= 4500 && code < 4600 ? { do: 'stop' } : { do: 'reconnect', delayMsMin: 0 }
}

/** Reconnect delays: full jitter, base 0.5 s, cap 60 s. `chance` is in 0…1. */
export const RECONNECT_BASE_MS = 500
export const RECONNECT_CAP_MS = 60_000
/** A connection healthy for so long resets the delay. */
export const RECONNECT_RESET_MS = 60_000

export function reconnectDelayMs(attempt: number, chance: number): number {
  return chance * Math.min(RECONNECT_CAP_MS, RECONNECT_BASE_MS * 2 ** Math.min(attempt, 20))
}
