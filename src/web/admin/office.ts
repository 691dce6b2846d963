/** What an admin looks at: the hub's figures as they come, everyone's devices, users, and what went wrong. */
import { signal } from '@preact/signals'
import { type ConnectionState, createStatsClient, type Stats } from '../../client/browser.ts'
import { systemClock } from '../../clock.ts'
import type { ConfigJson, LastErrorJson, LastErrorsJson, UserJson } from '../../protocol/http.ts'
import { createApi } from '../hub/api.ts'
import type { Credential } from '../hub/credential.ts'
import { freshTokenOf, SIGN_IN_EXPIRED } from '../hub/openid.ts'
import { openWatch } from '../map/watch.ts'
import { createSamples } from './figures.ts'
import { meaningsIn } from './meanings.ts'

export type Office = ReturnType<typeof openOffice>

const ERRORS_EVERY_MS = 5_000
const EXPIRED = 4451
const CLIENT_NAME = 'alzy admin'

export function openOffice({ credential, setup }: { credential: Credential; setup: ConfigJson }) {
  const api = createApi({
    token: () => credential.token.peek(),
    onRefused: credential.refused,
  })
  /** Whoever looks is no admin. */
  const isRefused = signal(false)
  const token = freshTokenOf(setup, credential)
  const connection = signal<ConnectionState>({ name: 'connecting' })
  const stats = signal<Stats | null>(null)
  const meanings = signal<ReadonlyMap<string, string>>(new Map())
  const users = signal<readonly UserJson[]>([])
  const errors = signal<ReadonlyMap<number, LastErrorJson>>(new Map())
  const samples = createSamples()
  const watch = openWatch({ token, subscription: { userIds: [] }, onRefused: refuse })
  const client = createStatsClient({
    url: location.origin,
    token,
    name: CLIENT_NAME,
    onEvent: (event) => {
      if (event.type === 'stats') {
        samples.add({ atS: systemClock.now() / 1_000, stats: event.stats })
        stats.value = event.stats
      } else if (event.type === 'state') {
        connection.value = event.state
        if (event.state.name === 'stopped' && event.state.code !== 1000) {
          refuse(event.state.code === EXPIRED ? 'expired' : 'refused')
        }
        // Let in, so there is more to ask; and after a while without a connection things may be others.
        if (event.state.name === 'open') readAll()
      }
    },
  })
  const endLooking = systemClock.every(ERRORS_EVERY_MS, () => {
    if (connection.peek().name === 'open') readErrors().catch(ignore)
  })
  return {
    api,
    isRefused,
    connection,
    stats,
    meanings,
    users,
    errors,
    samples,
    watch,
    readUsers,
    retryNow,
    close,
  }

  function refuse(why: 'expired' | 'refused'): void {
    if (why === 'expired') credential.forget(SIGN_IN_EXPIRED)
    else isRefused.value = true
  }

  function readAll(): void {
    for (const read of [readErrors, readUsers, readMeanings]) read().catch(ignore)
  }

  async function readErrors(): Promise<void> {
    const { errors: found } = await api.get<LastErrorsJson>('/v1/errors')
    errors.value = new Map(found.map((error) => [error.deviceId, error]))
  }

  async function readUsers(): Promise<void> {
    users.value = await api.all<UserJson>('/v1/users', 'users')
  }

  async function readMeanings(): Promise<void> {
    meanings.value = meaningsIn(await api.text('/metrics'))
  }

  function retryNow(): void {
    client.retryNow()
    watch.retryNow()
  }

  function close(): void {
    endLooking()
    client.close()
    watch.close()
  }
}

/** The connection says that the hub is away; the tables fill when it is back. */
function ignore(): void {}
