/** The page of the admins: how the hub does, who uses it, what went wrong. */
import { useEffect, useMemo } from 'preact/hooks'
import type { ConfigJson } from '../../protocol/http.ts'
import type { Credential } from '../hub/credential.ts'
import { LinkState } from '../hub/LinkState.tsx'
import { Brand, Icon } from '../look/Icon.tsx'
import { ThemeButton } from '../look/ThemeButton.tsx'
import type { Theme } from '../look/theme.ts'
import { durationWords } from '../look/words.ts'
import { Chart } from './Chart.tsx'
import { Counters } from './Counters.tsx'
import { Devices } from './Devices.tsx'
import { CHARTS, number } from './figures.ts'
import { openOffice } from './office.ts'
import { Users } from './Users.tsx'

const SECTIONS = [
  ['hub', 'The hub'],
  ['devices', 'Devices'],
  ['users', 'Users'],
  ['counters', 'Counters'],
] as const

export function AdminPage({
  credential,
  setup,
  theme,
}: {
  credential: Credential
  setup: ConfigJson
  theme: Theme
}) {
  const office = useMemo(() => openOffice({ credential, setup }), [credential, setup])
  useEffect(() => () => office.close(), [office])
  if (office.isRefused.value) return <NoAdmin onSignOut={() => credential.forget(null)} />
  const stats = office.stats.value
  const isDark = theme.isDark.value
  const isLive = office.connection.value.name === 'open'
  const away = isLive ? number(stats?.lanesAway) : 0
  return (
    <div class="admin">
      <header class="row wrap spread">
        <div class="row">
          <Brand />
          <nav class="row" aria-label="Sections">
            {SECTIONS.map(([id, words]) => (
              <a key={id} href={`#${id}`}>
                {words}
              </a>
            ))}
          </nav>
        </div>
        <div class="row">
          <LinkState state={office.connection.value} onRetry={office.retryNow} />
          <ThemeButton theme={theme} />
          <button
            type="button"
            class="icon-button plain"
            aria-label="Sign out"
            title="Sign out"
            onClick={() => credential.forget(null)}
          >
            <Icon name="signOut" />
          </button>
        </div>
      </header>
      <main class="stack">
        <section id="hub" aria-labelledby="hub-title" class="stack">
          <div class="row spread wrap">
            <h1 id="hub-title">The hub</h1>
            <span class="muted">
              {stats === null
                ? 'waiting for the first figures…'
                : isLive
                  ? `up for ${durationWords(number(stats.uptimeS))}`
                  : 'no connection: these are the last figures'}
            </span>
          </div>
          {away > 0 && (
            <p class="notice bad" role="alert">
              The database is away: nothing is acknowledged, and devices keep what they record.
            </p>
          )}
          <div class="charts" data-samples={office.samples.count} data-live={isLive}>
            {CHARTS.map((spec) => (
              <Chart key={spec.title} office={office} spec={spec} isDark={isDark} />
            ))}
          </div>
        </section>
        <section id="devices" aria-labelledby="devices-title" class="stack">
          <h2 id="devices-title">Devices</h2>
          <Devices office={office} isDark={isDark} />
        </section>
        <section id="users" aria-labelledby="users-title" class="stack">
          <h2 id="users-title">Users</h2>
          <Users office={office} />
        </section>
        <section id="counters" aria-labelledby="counters-title" class="stack">
          <h2 id="counters-title">Counters</h2>
          <Counters office={office} />
        </section>
      </main>
    </div>
  )
}

function NoAdmin({ onSignOut }: { onSignOut: () => void }) {
  return (
    <main class="welcome">
      <div class="sheet stack">
        <Brand />
        <h1>Only admins may see this page</h1>
        <p class="muted">Your sign-in is good for the map, but not for the hub itself.</p>
        <a class="button main" href="/">
          To the map
        </a>
        <button type="button" class="button" onClick={onSignOut}>
          Sign in as somebody else
        </button>
      </div>
    </main>
  )
}
