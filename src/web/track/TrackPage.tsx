/** Which of its faces /track shows: not possible here, not paired, open elsewhere, or recording. */
import type { Signal } from '@preact/signals'
import { useEffect, useState } from 'preact/hooks'
import { wordsOf } from '../hub/api.ts'
import { Brand } from '../look/Icon.tsx'
import { ThemeButton } from '../look/ThemeButton.tsx'
import type { Theme } from '../look/theme.ts'
import type { Identity, Keep } from './keep.ts'
import { PairPanel } from './PairPanel.tsx'
import { RecordPanel } from './RecordPanel.tsx'
import { openRecorder, type Recorder } from './recorder.ts'

const LOCK = 'alzy-track'

export function TrackPage({ theme, keep, code }: { theme: Theme; keep: Keep; code: Signal<string | null> }) {
  const [identity, setIdentity] = useState<Identity | null>(keep.identity.read())
  const offered = code.value
  return (
    <div class="track">
      <header class="row spread">
        <Brand href="/track" />
        <ThemeButton theme={theme} />
      </header>
      <main>
        {!isSecureContext ? (
          <Insecure />
        ) : identity === null || offered !== null ? (
          <PairPanel
            key={offered}
            code={offered}
            keep={keep}
            isPaired={identity !== null}
            onPaired={(paired) => {
              code.value = null
              setIdentity(paired)
            }}
            onKept={() => {
              code.value = null
            }}
          />
        ) : (
          <Alone
            key={identity.deviceKey}
            identity={identity}
            keep={keep}
            onForget={() => setIdentity(null)}
          />
        )}
      </main>
    </div>
  )
}

function Insecure() {
  return (
    <div class="sheet stack">
      <h1>HTTPS is needed</h1>
      <p>
        Browsers tell their position only to pages that came over HTTPS. Ask whoever runs this hub to put TLS
        in front of it, and open the link again.
      </p>
    </div>
  )
}

/** Two tabs with one key would take the device from each other for ever, so only one of them is it. */
function Alone({ identity, keep, onForget }: { identity: Identity; keep: Keep; onForget: () => void }) {
  const [recorder, setRecorder] = useState<Recorder | null>(null)
  const [problem, setProblem] = useState<string | null>(null)
  useEffect(() => {
    const left = new AbortController()
    let opened: Recorder | null = null
    navigator.locks
      .request(LOCK, { signal: left.signal }, async () => {
        opened = await openRecorder(identity, keep)
        if (!left.signal.aborted) setRecorder(opened)
        await new Promise<void>((resolve) => {
          if (left.signal.aborted) resolve()
          left.signal.addEventListener('abort', () => resolve())
        })
        await opened.close()
      })
      .catch((fault) => {
        if (!left.signal.aborted) setProblem(wordsOf(fault))
      })
    return () => left.abort()
  }, [identity, keep])

  if (problem !== null) {
    return (
      <p class="notice bad" role="alert">
        This browser cannot keep points: {problem}
      </p>
    )
  }
  if (recorder === null) {
    return (
      <p class="muted waiting" role="status">
        Opening… If this page is open in another tab too, that one records.
      </p>
    )
  }
  return (
    <RecordPanel
      recorder={recorder}
      onForget={() => {
        keep.identity.clear()
        keep.session.clear()
        onForget()
      }}
    />
  )
}
