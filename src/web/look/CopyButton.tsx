/** Copies a text, and says that it did. */
import { useState } from 'preact/hooks'
import { systemClock } from '../../clock.ts'
import { Icon } from './Icon.tsx'

const SAID_MS = 2_000

export function CopyButton({ text, words }: { text: string; words: string }) {
  const [said, setSaid] = useState<string | null>(null)
  const copy = async () => {
    // Pages without HTTPS have no clipboard.
    const isCopied = await (navigator.clipboard?.writeText(text) ?? Promise.reject()).then(
      () => true,
      () => false,
    )
    if (!isCopied) prompt('Copy this:', text)
    setSaid(isCopied ? 'Copied' : null)
    systemClock.after(SAID_MS, () => setSaid(null))
  }
  return (
    <button type="button" class="button grow" onClick={copy}>
      <Icon name="copy" /> <span aria-live="polite">{said ?? words}</span>
    </button>
  )
}
