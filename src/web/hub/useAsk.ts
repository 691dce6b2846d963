/** One request at a time from a component: whether it runs, and what went wrong, for people to see. */
import { useState } from 'preact/hooks'
import { wordsOf } from './api.ts'

export function useAsk() {
  const [isBusy, setBusy] = useState(false)
  const [problem, setProblem] = useState<string | null>(null)
  return { isBusy, problem, ask }

  function ask(act: () => Promise<void>): void {
    if (isBusy) return
    setBusy(true)
    setProblem(null)
    act()
      .catch((fault) => setProblem(wordsOf(fault)))
      .finally(() => setBusy(false))
  }
}
