/** What an admin looks at: the hub's figures as they come, everyone's devices, users, and what went wrong. */
import { signal } from '@preact/signals'
import { type ConnectionState, createStatsClient, type Stats } from '../../client/browser.ts'
import { createApi } from '../hub/api.ts'
import type { Credential } from '../hub/credential.ts'
import { freshTokenOf } from '../hub/openid.ts'
import type { LastError, Setup, User } from '../hub/shapes.ts'
import { openWatch } from '../map/watch.ts'
import { createSamples } from './figures.ts'
import { meaningsIn } from './meanings.ts'

export type Office = ReturnType<typeof openOffice>

const ERRORS_EVERY_MS = 5_000
const EXPIRED = 4451
const CLIENT_NAME = 'alzy admin'

export function openOffice({ credential, setup }: { credential: Credential; setup: Setup }) {
  const api = createApi({
    token: () => credential.token.peek(),
    onRefused: () => credential.forget('Your sign-in is not good any more. Please sign in again.'),
  })
  const refuse = (why: 'expired' | 'refused') =>
    credential.forget(
      why === 'expired'
        ? 'Your sign-in has expired. Please sign in again.'
        : 'Only admins may see this page. Sign in as one of them.',
    )
  const token = freshTokenOf(setup, credential)
  const connection = signal<ConnectionState>({ name: 'connecting' })
  const stats = signal<Stats | null>(null)
  const meanings = signal<ReadonlyMap<string, string>>(new Map())
  const users = signal<readonly User[]>([])
  const errors = signal<ReadonlyMap<number, LastError>>(new Map())
  const samples = createSamples()
  const watch = openWatch({ token, subscription: { userIds: [] }, onRefused: refuse })
  const client = createStatsClient({
    url: location.origin,
    token,
    name: CLIENT_NAME,
    onEvent: (event) => {
      if (event.type === 'stats') {
        samples.add({ atS: Date.now() / 1_000, stats: event.stats })
        stats.value = event.stats
      } else if (event.type === 'state') {
        connection.value = event.state
        if (event.state.name === 'stopped' && event.state.code !== 1000) {
          refuse(event.state.code === EXPIRED ? 'expired' : 'refused')
        }
      }
    },
  })
  const timer = setInterval(() => void readErrors().catch(() => {}), ERRORS_EVERY_MS)
  Promise.all([readErrors(), readUsers(), readMeanings()]).catch(() => {
    // Said by the connection; the tables fill when it is back.
  })
  return { api, connection, stats, meanings, users, errors, samples, watch, readUsers, retryNow, close }

  async function readErrors(): Promise<void> {
    const { errors: found } = await api.get<{ errors: LastError[] }>('/v1/errors')
    errors.value = new Map(found.map((error) => [error.deviceId, error]))
  }

  async function readUsers(): Promise<void> {
    users.value = await api.all<User>('/v1/users', 'users')
  }

  async function readMeanings(): Promise<void> {
    meanings.value = meaningsIn(await api.text('/metrics'))
  }

  function retryNow(): void {
    client.retryNow()
    watch.retryNow()
    readUsers().catch(() => {})
  }

  function close(): void {
    clearInterval(timer)
    client.close()
    watch.close()
  }
}
