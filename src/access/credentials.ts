/** Who somebody is by their token: the hub's own secret and its OpenID issuer, put together from the settings. */
import type { Clock } from '../clock.ts'
import type { Directory } from '../core/directory.ts'
import type { Ops } from '../ops/ops.ts'
import { createIdentity } from './identity.ts'
import { createOidc, type OidcOptions } from './oidc.ts'
import { createTokens, ensureSecret } from './tokens.ts'

export interface CredentialsOptions {
  /** null: kept in `dataDir`, and made the first time. */
  secret: string | null
  dataDir: string
  /** The OpenID issuer whose tokens are accepted, when they are made for this audience. */
  oidc: { issuer: string; audience: string } | null
  limits: OidcOptions['limits'] & { tokenTtlSMax: number }
  ops: Pick<Ops, 'faults'>
  clock: Clock
  people: Pick<Directory, 'findUser' | 'findUserAt' | 'linkUser'>
}

export async function openCredentials(options: CredentialsOptions) {
  const { secret, dataDir, limits, ops, clock, people } = options
  const tokens = createTokens(secret ?? (await ensureSecret(dataDir)), limits)
  const oidc =
    options.oidc && createOidc({ ...options.oidc, limits, fetch, onAway: ops.faults.issuerAway, clock })
  return {
    tokens,
    identify: createIdentity({ tokens, oidc, directory: people, clock }),
    /** So that the first user need not wait for the issuer, and a wrong setting shows at the start; never rejects. */
    warm: () => void oidc?.warm(),
  }
}
