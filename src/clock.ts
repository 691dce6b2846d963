/**
 * The only time and chance there is: whoever needs one of them is handed a clock, so that a test can be its master. It
 * knows nothing of what time is needed for.
 */

export interface Clock {
  /** Wall time in ms since 1970, as the machine has it: it may jump, either way. */
  now: () => number
  /** Ms since some moment; it never goes back, whatever the machine's clock does. */
  elapsed: () => number
  /** From 0 up to 1, without it. */
  random: () => number
  /** Calls `act` once, after so many ms. Returns what calls it off. */
  after: (ms: number, act: () => void) => () => void
  /** Calls `act` again and again, so many ms apart. Returns what ends it. */
  every: (ms: number, act: () => void) => () => void
}

/** The longest that a timer of the platform can wait: with a longer delay it would act at once. */
const TIMER_MS_MAX = 2 ** 31 - 1

export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  random: () => Math.random(),
  after: (ms, act) => {
    const timer = setTimeout(act, Math.min(ms, TIMER_MS_MAX))
    return () => clearTimeout(timer)
  },
  every: (ms, act) => {
    const timer = setInterval(act, Math.min(ms, TIMER_MS_MAX))
    return () => clearInterval(timer)
  },
}

/** Resolves after so many ms, or as soon as `signal` is aborted; never rejects. */
export function wait(clock: Pick<Clock, 'after'>, ms: number, signal?: AbortSignal): Promise<void> {
  if (signal === undefined) return new Promise((resolve) => clock.after(ms, resolve))
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const callOff = clock.after(ms, done)
    signal.addEventListener('abort', done)

    function done(): void {
      callOff()
      signal!.removeEventListener('abort', done)
      resolve()
    }
  })
}

/** Resolves when `work` is over or so many ms have passed, however it ended; never rejects. */
export async function within(clock: Pick<Clock, 'after'>, ms: number, work: Promise<unknown>): Promise<void> {
  let callOff = () => {}
  const late = new Promise<void>((resolve) => {
    callOff = clock.after(ms, resolve)
  })
  await Promise.race([work.catch(() => {}), late])
  callOff()
}

/** While the hub itself was stopped for longer than this, the clock of those who wait for it stands still. */
const STALL_MS = 1_000

export type Attended = ReturnType<typeof createAttended>

/**
 * Time as far as the hub attended to it: what a peer sent while the hub was stopped is read late, and not by its fault.
 * `check` is to be called several times a second.
 */
export function createAttended(clock: Pick<Clock, 'elapsed'>) {
  let totalMs = 0
  let checkedMs = clock.elapsed()
  return { attendedMs, check }

  function attendedMs(): number {
    return totalMs + Math.min(clock.elapsed() - checkedMs, STALL_MS)
  }

  function check(): void {
    totalMs = attendedMs()
    checkedMs = clock.elapsed()
  }
}
