/**
 * The JSON of the HTTP API, once: each shape that more than one of hub, commands and pages knows. Moments are ISO 8601,
 * lengths metres, speeds metres per second. It knows no route, and not who may ask. Whoever only reads answers imports
 * the types alone (`import type`): the checks are the hub's, and weigh more than a page.
 */
import { z } from 'zod'
import { DEVICE_COLORS, DEVICE_PLATFORMS, INT32_MAX, POINT_SOURCES } from './messages.ts'

const NAME_CHARS_MAX = 200
const ISSUERS_MAX = 16

// Fields

export const id = z.int().min(1).max(INT32_MAX)

/** A moment as answers show it. */
export const moment = z.iso.datetime()

export const name = z
  .string()
  .trim()
  .min(1)
  .max(NAME_CHARS_MAX)
  .refine((text) => !text.includes('\0'), 'must be text')

export const platform = z.enum(DEVICE_PLATFORMS)

const email = z.email().max(NAME_CHARS_MAX)
const role = z.enum(['user', 'admin'])
const color = z.enum(DEVICE_COLORS)

/** The database keeps no NUL and no half of a surrogate pair in JSON, and an address has neither. */
const ADDRESS = /^[^\s\p{Cc}\p{Cs}]+$/u

/** Who a user is at OpenID issuers; what the database holds of it, see sql/0004_user_providers.sql. */
const providers = z
  .record(
    z.url('must be the address of an issuer').regex(ADDRESS, 'must be the address of an issuer').max(255),
    z.strictObject({ sub: z.string().regex(/^[\x20-\x7e]{1,255}$/, 'must be 1 to 255 ASCII characters') }),
  )
  .refine((all) => Object.keys(all).length <= ISSUERS_MAX, `must be ${ISSUERS_MAX} issuers at most`)
export type ProvidersJson = z.infer<typeof providers>

/** Of a list: what the next page is after; null when there is none. */
const next = z.string().nullable()

// Users

export const USER = z.object({
  id,
  name: z.string(),
  email: z.string(),
  role,
  isActive: z.boolean(),
  providers,
  createdAt: moment,
  lastLoginAt: moment.nullable(),
})
export type UserJson = z.infer<typeof USER>

export const USERS = z.object({ users: z.array(USER), next })

export const NEW_USER = z.strictObject({ email, name: name.optional(), role: role.default('user') })
export type NewUserJson = z.input<typeof NEW_USER>

/** `providers` are all of them: what is not named is forgotten. */
export const USER_CHANGE = z.strictObject({ name, role, isActive: z.boolean(), providers }).partial()
export type UserChangeJson = z.infer<typeof USER_CHANGE>

export const TOKEN = z.object({ token: z.string(), expiresAt: moment })
export type TokenJson = z.infer<typeof TOKEN>

// Devices

export const DEVICE = z.object({
  id,
  userId: id,
  name: z.string(),
  platform,
  color,
  isActive: z.boolean(),
  pairedAt: moment.nullable(),
  lastSeenAt: moment.nullable(),
  createdAt: moment,
})
export type DeviceJson = z.infer<typeof DEVICE>

export const DEVICES = z.object({ devices: z.array(DEVICE), next })

export const NEW_DEVICE = z.strictObject({
  name,
  userId: id.optional(),
  platform: platform.default('android'),
  color: color.default('blue'),
  withKey: z.boolean().default(false),
})
export type NewDeviceJson = z.input<typeof NEW_DEVICE>

export const DEVICE_CHANGE = z.strictObject({ name, color, isActive: z.boolean() }).partial()
export type DeviceChangeJson = z.infer<typeof DEVICE_CHANGE>

export const KEYED_DEVICE = z.object({ device: DEVICE, deviceKey: z.string() })
export type KeyedDeviceJson = z.infer<typeof KEYED_DEVICE>

/** A device that waits to be paired until then. */
export const PAIRING = z.object({
  device: DEVICE,
  pairingToken: z.string(),
  pairingUrl: z.string(),
  expiresAt: moment,
})
export type PairingJson = z.infer<typeof PAIRING>

/** What a device is told that has shown a pairing token. */
export const PAIRED = z.object({ deviceId: id, deviceKey: z.string() })
export type PairedJson = z.infer<typeof PAIRED>

/** The last one of a device since the hub started. */
const LAST_ERROR = z.object({ deviceId: id, at: moment, message: z.string() })
export type LastErrorJson = z.infer<typeof LAST_ERROR>

export const LAST_ERRORS = z.object({ errors: z.array(LAST_ERROR) })
export type LastErrorsJson = z.infer<typeof LAST_ERRORS>

// The past

export const SESSION = z
  .object({
    id,
    deviceId: id,
    userId: id,
    status: z.enum(['active', 'ended', 'paused']),
    /** Made by the hub for points that named no session. */
    automatic: z.boolean(),
    startedAt: moment,
    endedAt: moment.nullable(),
    /** Along its points, on the sphere. */
    distanceM: z.number().min(0),
    /** To its end, or while it is open to its newest point. */
    durationS: z.number().min(0),
    pointCount: z.int().min(0),
  })
  .meta({ id: 'Session' })
export type SessionJson = z.infer<typeof SESSION>

/** Newest first. */
export const SESSIONS = z.object({ sessions: z.array(SESSION), next })
export type SessionsJson = z.infer<typeof SESSIONS>

export const POINT = z
  .object({
    recordedAt: moment,
    lat: z.number().min(-90).max(90),
    lng: z.number().min(-180).max(180),
    accuracy: z.number().nullable(),
    speed: z.number().nullable(),
    heading: z.number().nullable(),
    altitude: z.number().nullable(),
    source: z.enum(POINT_SOURCES),
    sessionId: id,
  })
  .meta({ id: 'Point' })
export type PointJson = z.infer<typeof POINT>

export const POINTS = z.object({ points: z.array(POINT), next })
export type PointsJson = z.infer<typeof POINTS>

export const TRACK = z.object({ session: SESSION, points: z.array(POINT) })
export type TrackJson = z.infer<typeof TRACK>

// Shares

export const SHARE = z.object({
  id,
  deviceIds: z.array(id),
  expiresAt: moment,
  createdAt: moment,
  /** null: it goes on until it expires. */
  endedAt: moment.nullable(),
})
export type ShareJson = z.infer<typeof SHARE>

export const SHARES = z.object({ shares: z.array(SHARE), next })

/** Its link and the token in it are shown only now. */
export const MADE_SHARE = z.object({ share: SHARE, token: z.string(), url: z.string() })
export type MadeShareJson = z.infer<typeof MADE_SHARE>

// The hub itself

/** What a page has to know before anyone has signed in. */
export const CONFIG = z.object({
  mapStyle: z.url().nullable(),
  oidc: z.object({ issuer: z.url(), clientId: z.string() }).nullable(),
})
export type ConfigJson = z.infer<typeof CONFIG>

export const PROBLEM = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    errors: z.array(z.object({ field: z.string(), message: z.string() })).optional(),
  })
  .meta({ id: 'Problem', description: 'RFC 9457; `errors` names the fields that are wrong' })
export type ProblemJson = z.infer<typeof PROBLEM>
