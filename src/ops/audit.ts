/**
 * The audit trail: who was let in, refused, given something or relieved of it, as lines of the log. It holds ids
 * and addresses; no key, token or coordinate has a place in its events.
 */
import { LRUCache } from 'lru-cache'
import type { Clock } from '../clock.ts'

/** What somebody does over the API, with the ids of what it is done to. */
export interface Acts {
  'device.added': { deviceId: number }
  /** A pairing token was made; redeeming it is `device.paired`. */
  'device.pairing': { deviceId: number }
  'device.paired': { deviceId: number }
  'device.keyReplaced': { deviceId: number }
  'device.activated': { deviceId: number }
  'device.deactivated': { deviceId: number }
  'device.deleted': { deviceId: number }
  'user.added': { userId: number; role: string }
  'user.activated': { userId: number }
  'user.deactivated': { userId: number }
  'user.promoted': { userId: number }
  'user.demoted': { userId: number }
  /** Who the user is at OpenID issuers was written: these are who may sign in as the user. */
  'user.providersWritten': { userId: number; issuers: number }
  /** A token that lets its bearer be this user. */
  'token.issued': { userId: number }
  'share.made': { shareId: number; deviceIds: readonly number[] }
  'share.ended': { shareId: number }
}

/** An act with its facts. */
export type Act = { [Name in keyof Acts]: readonly [Name, Acts[Name]] }[keyof Acts]

/** Who did it: a user, whoever holds the hub's secret, or null for somebody without a login. */
export interface Actor {
  by: number | 'operator' | null
  address: string
}

export type Credential = 'deviceKey' | 'token' | 'pairingToken'

export type Audit = ReturnType<typeof createAudit>

export interface AuditOptions {
  log: { info: (facts: object, message: string) => void }
  limits: {
    /** A refusal of one kind and address has a line at once, and then one in so long for all that followed. */
    auditRefusedEveryMs: number
    /** Addresses with a line of their own in that time; those beyond share one. */
    auditRefusedMax: number
  }
  clock: Pick<Clock, 'now' | 'elapsed'>
}

/** An admin's further requests within so long are of the same login. */
const LOGIN_MS = 3_600_000
const LOGINS_MAX = 10_000

export function createAudit({ log, limits, clock }: AuditOptions) {
  /** Refusals since the line that each kind and address has had, and of all that have none. */
  let refusals = new Map<string, { credential: Credential; address: string; unsaid: number }>()
  let unsaidElsewhere = 0
  let flushedMs = clock.elapsed()
  const logins = new LRUCache<string, true>({
    max: LOGINS_MAX,
    ttl: LOGIN_MS,
    ttlResolution: 0,
    perf: { now: clock.elapsed },
  })
  return { act, adminLogin, refused, flush }

  function act([name, facts]: Act, actor: Actor): void {
    say(name, { ...facts, ...actor })
  }

  /** The stats socket is a login each time, HTTP at its first request in an hour. */
  function adminLogin({ by, address }: Actor, via: 'stats' | 'http'): void {
    const login = `${by} ${address}`
    if (via === 'http' && logins.has(login)) return
    logins.set(login, true)
    say('admin.login', { by, via, address })
  }

  /** Somebody who tries again and again must not fill the log. */
  function refused(credential: Credential, address: string): void {
    const key = `${credential} ${address}`
    const known = refusals.get(key)
    if (known !== undefined) {
      known.unsaid += 1
    } else if (refusals.size >= limits.auditRefusedMax) {
      unsaidElsewhere += 1
    } else {
      refusals.set(key, { credential, address, unsaid: 0 })
      say('credential.refused', { credential, address, count: 1 })
    }
  }

  /** To be called now and then: what was refused since the first lines. */
  function flush(isLast = false): void {
    if (!isLast && clock.elapsed() - flushedMs < limits.auditRefusedEveryMs) return
    flushedMs = clock.elapsed()
    const gathered = refusals
    refusals = new Map()
    for (const { credential, address, unsaid } of gathered.values()) {
      if (unsaid > 0) say('credential.refused', { credential, address, count: unsaid })
    }
    if (unsaidElsewhere > 0) {
      say('credential.refused', { credential: 'any', address: null, count: unsaidElsewhere })
    }
    unsaidElsewhere = 0
  }

  function say(audit: string, facts: object): void {
    log.info({ audit, ...facts }, 'audit')
  }
}
