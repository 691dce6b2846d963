/** Lets in whoever has a token, with what the hub says of itself; everyone else gets to sign in. */
import { type ComponentChildren, Fragment } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { systemClock } from '../../clock.ts'
import type { ConfigJson } from '../../protocol/http.ts'
import { createApi, wordsOf } from './api.ts'
import type { Credential } from './credential.ts'
import { finishSignIn } from './openid.ts'
import { SignIn } from './SignIn.tsx'

const RETRY_MS = 2_000

export function Entrance({
  credential,
  children,
}: {
  credential: Credential
  children: (setup: ConfigJson) => ComponentChildren
}) {
  const [setup, setSetup] = useState<ConfigJson | null>(null)
  const [problem, setProblem] = useState<string | null>(null)
  useEffect(() => {
    let isGone = false
    arrive()
    return () => {
      isGone = true
    }

    async function arrive(): Promise<void> {
      try {
        const found = await createApi({ token: () => null, onRefused: () => {} }).get<ConfigJson>(
          '/v1/config',
        )
        if (found.oidc !== null) await returned(found.oidc)
        if (!isGone) setSetup(found)
      } catch (fault) {
        if (isGone) return
        setProblem(wordsOf(fault))
        systemClock.after(RETRY_MS, arrive)
      }
    }

    async function returned(issuer: NonNullable<ConfigJson['oidc']>): Promise<void> {
      try {
        const grant = await finishSignIn(issuer)
        if (grant !== null) credential.keep(grant.token, grant.refreshToken)
      } catch (fault) {
        credential.forget(wordsOf(fault))
      }
    }
  }, [credential])

  if (setup === null) {
    return (
      <main class="welcome" aria-busy={problem === null}>
        <p class="muted" role="status">
          {problem ?? 'Opening…'}
        </p>
      </main>
    )
  }
  if (credential.token.value === null) return <SignIn credential={credential} setup={setup} />
  return <Fragment key={credential.signIns.value}>{children(setup)}</Fragment>
}
