/** `alzy demo`: the hub with a demo user, whose devices replay recorded tracks as if they happened now. */
import { createTokens, readSecret } from '../access/tokens.ts'
import { systemClock } from '../clock.ts'
import { createDemoFleet } from '../demo/fleet.ts'
import type { NewUserJson, TokenJson, UserJson } from '../protocol/http.ts'
import { localUrl } from '../sockets/tls.ts'
import { type ApiClient, createApiClient } from './api.ts'
import { openKeys } from './keys.ts'
import { type ServeIo, serve } from './serve.ts'

export interface DemoIo extends ServeIo {
  stdout: (line: string) => void
}

const EMAIL = 'demo@example.org'
const TOKEN_TTL_S = 24 * 3_600

/** Resolves with the exit code, as `serve` does. */
export function demo(io: DemoIo): Promise<number> {
  return serve(io, async (hub, config) => {
    const url = localUrl(config.host, hub.port, config.tls)
    const secret = config.secret ?? (await readSecret(config.dataDir))
    const operator = await createTokens(secret, config.limits).issueOperator(systemClock.now())
    const api = createApiClient(url, operator.token)
    const user = await demoUser(api)
    const { token } = await api.request<TokenJson>('POST', `/v1/users/${user.id}/tokens`, {
      ttlS: Math.min(TOKEN_TTL_S, config.limits.tokenTtlSMax),
    })
    const keys = await openKeys(api, EMAIL)
    const fleet = await createDemoFleet({
      url,
      deviceKeyFor: async (name, color, platform) => (await keys.keyFor(name, color, platform)).deviceKey,
      onProblem: io.stderr,
    })
    tell(io, url, fleet.devices, token)
    return fleet.close
  })
}

function tell(io: DemoIo, url: string, devices: readonly string[], token: string): void {
  const elsewhere = url === 'http://127.0.0.1:9001' ? '' : ` --url ${url}`
  io.stdout('')
  io.stdout(`Moving on ${url} as ${EMAIL}: ${devices.length} devices`)
  for (const name of devices) io.stdout(`  ${name}`)
  io.stdout('')
  io.stdout('Watch them on the map (Ctrl-C here ends the demo):')
  io.stdout(`  ${url}/#token=${token}`)
  io.stdout('or in another terminal:')
  io.stdout(`  npx alzy watch${elsewhere} --token ${token}`)
  io.stdout('')
}

async function demoUser(api: ApiClient): Promise<UserJson> {
  const found = await api.listed<UserJson>(`/v1/users?email=${EMAIL}`, 'users')
  const demo = { email: EMAIL, name: 'Demo' } satisfies NewUserJson
  return found[0] ?? api.request<UserJson>('POST', '/v1/users', demo)
}
