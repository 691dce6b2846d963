/** Time for measuring. */

/** Milliseconds of the machine's monotonic clock: the same in every process of this machine. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

/** Milliseconds of processor time that this process has used, in all its threads. */
export function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}
