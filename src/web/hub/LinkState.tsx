/** How the page's connection to the hub stands, always in sight and read out when it changes. */
import type { ConnectionState } from '../../client/browser.ts'
import { useSecond } from '../look/useSecond.ts'

export function LinkState({ state, onRetry }: { state: ConnectionState; onRetry: () => void }) {
  return (
    <div class="row">
      <span class="link" data-state={state.name} role="status">
        {wordsOf(state)}
      </span>
      {state.name === 'waiting' && <Countdown untilMs={state.untilMs} />}
      {(state.name === 'waiting' || state.name === 'stopped') && (
        <button type="button" class="button" onClick={onRetry}>
          Connect now
        </button>
      )}
    </div>
  )
}

function Countdown({ untilMs }: { untilMs: number }) {
  const leftS = Math.max(0, Math.ceil((untilMs - useSecond()) / 1_000))
  return (
    <span class="small muted" aria-hidden="true">
      again in {leftS} s
    </span>
  )
}

function wordsOf(state: ConnectionState): string {
  switch (state.name) {
    case 'open':
      return 'Live'
    case 'connecting':
      return 'Connecting…'
    case 'waiting':
      return 'No connection'
    case 'stopped':
      return 'Not connected'
  }
}
