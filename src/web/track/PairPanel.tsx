/** Pairing, by the link of the QR code that was scanned or by a code that is pasted. */
import { useState } from 'preact/hooks'
import { createApi } from '../hub/api.ts'
import { useAsk } from '../hub/useAsk.ts'
import type { Identity, Keep } from './keep.ts'
import { codeIn, pair } from './pairing.ts'

export function PairPanel({
  code,
  keep,
  isPaired,
  onPaired,
  onKept,
}: {
  code: string | null
  keep: Keep
  isPaired: boolean
  onPaired: (identity: Identity) => void
  onKept: () => void
}) {
  const [text, setText] = useState(code ?? '')
  const { isBusy, problem, ask } = useAsk()
  const isLink = code !== null
  return (
    <form
      class="sheet stack"
      onSubmit={(event) => {
        event.preventDefault()
        const api = createApi({ token: () => null, onRefused: () => {} })
        ask(async () => onPaired(await pair(codeIn(text), api, keep)))
      }}
    >
      <h1>{isLink ? 'Pair this phone' : 'Make this phone a device'}</h1>
      {isPaired ? (
        <p>
          This phone is a device already. Pairing makes it another one; what it has not sent yet as the old
          one stays here unsent.
        </p>
      ) : (
        <p class="muted">
          {isLink
            ? 'It becomes a device of whoever showed you the code. They see where it is while you record, and only then.'
            : 'On the map, choose “Add a device” and scan the code with this phone, or paste it here.'}
        </p>
      )}
      {!isLink && (
        <label class="field">
          <span>Code or link</span>
          <input
            required
            autocomplete="off"
            autocapitalize="none"
            spellcheck={false}
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </label>
      )}
      {problem !== null && (
        <p class="notice bad" role="alert">
          {problem}
        </p>
      )}
      <button type="submit" class="button main large" disabled={isBusy || text.trim() === ''}>
        {isBusy ? 'Pairing…' : problem === null ? 'Pair' : 'Try again'}
      </button>
      {isPaired && (
        <button type="button" class="button" onClick={onKept}>
          Stay the device it is
        </button>
      )}
    </form>
  )
}
