/** A benchmark stops by itself: when it is done, when it is told to, or when it takes too long. */

/** Ends this process, and with it everything that it started, after so long or at the first signal. */
export function endWithin(secondsMax: number): void {
  setTimeout(() => {
    process.stderr.write(`not done within ${secondsMax} s\n`)
    process.exit(1)
  }, secondsMax * 1000).unref()
  // Ending by `exit` lets whoever started a process end it.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
}
