/** Shows a component again every second, for ages and countdowns. */
import { useEffect, useState } from 'preact/hooks'
import { systemClock } from '../../clock.ts'

const SECOND_MS = 1_000

/** The wall clock, in ms. */
export function useSecond(): number {
  const [nowMs, setNowMs] = useState(systemClock.now)
  useEffect(() => systemClock.every(SECOND_MS, () => setNowMs(systemClock.now())), [])
  return nowMs
}
