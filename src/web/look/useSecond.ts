/** Shows a component again every second, for ages and countdowns. */
import { useEffect, useState } from 'preact/hooks'

const SECOND_MS = 1_000

/** The wall clock, in ms. */
export function useSecond(): number {
  const [nowMs, setNowMs] = useState(Date.now)
  useEffect(() => {
    const timer = setInterval(() => setNowMs(Date.now()), SECOND_MS)
    return () => clearInterval(timer)
  }, [])
  return nowMs
}
