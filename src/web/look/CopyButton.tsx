/** Copies a text, and says that it did. */
import { useState } from 'preact/hooks'
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
    setTimeout(() => setSaid(null), SAID_MS)
  }
  return (
    <button type="button" class="button grow" onClick={copy}>
      <Icon name="copy" /> <span aria-live="polite">{said ?? words}</span>
    </button>
  )
}
