/** What somebody without a token sees: how to get one, and where to put it. */
import { useState } from 'preact/hooks'
import type { ConfigJson } from '../../protocol/http.ts'
import { Brand } from '../look/Icon.tsx'
import { type Credential, tokenIn } from './credential.ts'
import { beginSignIn } from './openid.ts'
import { useAsk } from './useAsk.ts'

export function SignIn({ credential, setup }: { credential: Credential; setup: ConfigJson | null }) {
  const [text, setText] = useState('')
  const { isBusy, problem, ask } = useAsk()
  const oidc = setup?.oidc ?? null
  return (
    <main class="welcome">
      <div class="sheet stack">
        <Brand />
        <h1>See your devices move</h1>
        {credential.ended.value !== null && (
          <p class="notice" role="status">
            {credential.ended.value}
          </p>
        )}
        {oidc !== null && (
          <button
            type="button"
            class="button main large"
            disabled={isBusy}
            onClick={() => ask(() => beginSignIn(oidc))}
          >
            Sign in at {new URL(oidc.issuer).host}
          </button>
        )}
        {problem !== null && (
          <p class="notice bad" role="alert">
            {problem}
          </p>
        )}
        <form
          class="stack"
          onSubmit={(event) => {
            event.preventDefault()
            if (text.trim() !== '') credential.keep(tokenIn(text))
          }}
        >
          <label class="field">
            <span>A link or a token that you were given</span>
            <input
              type="password"
              autocomplete="off"
              spellcheck={false}
              required
              value={text}
              onInput={(event) => setText(event.currentTarget.value)}
            />
          </label>
          <button type="submit" class={oidc === null ? 'button main' : 'button'}>
            Open the map
          </button>
        </form>
        <p class="small muted">
          On the hub's own machine <code>npx alzy token you@example.org</code> prints a token.
        </p>
      </div>
    </main>
  )
}
