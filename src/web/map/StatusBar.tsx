/** Top right: the connection, what is not in sight, and the ways to other pages. */
import { LinkState } from '../hub/LinkState.tsx'
import { Icon } from '../look/Icon.tsx'
import { ThemeButton } from '../look/ThemeButton.tsx'
import type { Desk } from './desk.ts'

export function StatusBar({ desk }: { desk: Desk }) {
  const role = desk.watch.role.value
  return (
    <header class="status-bar">
      {desk.elsewhere.value > 0 && desk.player.value === null && (
        <button type="button" class="button floating" onClick={desk.fitAll}>
          {desk.elsewhere.value} more elsewhere
        </button>
      )}
      <div class="floating row">
        <LinkState state={desk.watch.connection.value} onRetry={desk.watch.retryNow} />
        {role === 'share' && <span class="tag">shared with you</span>}
        <ThemeButton theme={desk.theme} />
        {role === 'admin' && (
          <a class="icon-button plain" href="/admin" aria-label="The hub" title="The hub">
            <Icon name="chart" />
          </a>
        )}
        <button
          type="button"
          class="icon-button plain"
          aria-label="Sign out"
          title="Sign out"
          onClick={() => desk.credential.forget(null)}
        >
          <Icon name="signOut" />
        </button>
      </div>
    </header>
  )
}
