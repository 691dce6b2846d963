/** The HTTP API: who may do what, and what is asked of the directory. Answers are JSON, errors RFC 9457. */
import { z } from 'zod'
import type { DeviceRow, Directory, UserRow } from '../core/directory.ts'
import { createDeviceKey } from '../deviceKey.ts'
import { DEVICE_COLORS, DEVICE_PLATFORMS } from '../protocol/messages.ts'
import type { Tokens } from '../tokens.ts'
import { type Handler, Problem, type Request, type Routes } from './http.ts'

export interface ApiOptions {
  directory: Directory
  tokens: Tokens
  tokenTtlSMax: number
  /** The database answers and is up to date. */
  isReady: () => Promise<boolean>
  metrics: () => Promise<{ text: string; contentType: string }>
  /** Sockets have to hear of it. */
  onDevice: (device: DeviceRow) => void
  onDeviceKey: (device: DeviceRow) => void
  onDeviceGone: (device: DeviceRow) => void
  now: () => number
}

/** Whoever sent the request. The operator holds the hub's secret and may do what an admin may. */
type Caller = { user: UserRow; isAdmin: boolean } | { user: null; isAdmin: true }

const ID_MAX = 2 ** 31 - 1
const PAGE_MAX = 200
const NAME_CHARS_MAX = 200
const TOKEN_TTL_S = 3_600

const name = z
  .string()
  .trim()
  .min(1)
  .max(NAME_CHARS_MAX)
  .refine((text) => !text.includes('\0'), 'must be text')
const id = z.int().min(1).max(ID_MAX)
const idText = z
  .string()
  .regex(/^[1-9]\d*$/, 'must be an id')
  .transform(Number)
  .pipe(id)
const page = {
  after: z
    .string()
    .regex(/^\d+$/, 'must be what `next` said')
    .transform(Number)
    .pipe(z.int().max(ID_MAX))
    .default(0),
  limit: z
    .string()
    .regex(/^\d+$/, 'must be a number')
    .transform(Number)
    .pipe(z.int().min(1).max(PAGE_MAX))
    .default(PAGE_MAX),
}

const NEW_USER = z.strictObject({
  email: z.email().max(NAME_CHARS_MAX),
  name: name.optional(),
  role: z.enum(['user', 'admin']).default('user'),
})
const USER_QUERY = z.strictObject({ email: name.optional(), ...page })
const NEW_DEVICE = z.strictObject({
  name,
  userId: id.optional(),
  platform: z.enum(DEVICE_PLATFORMS).default('android'),
  color: z.enum(DEVICE_COLORS).default('blue'),
  withKey: z.literal(true, 'must be true: a device gets its key at once'),
})
const DEVICE_QUERY = z.strictObject({ userId: idText.optional(), ...page })
const DEVICE_CHANGE = z.strictObject({ name, color: z.enum(DEVICE_COLORS), isActive: z.boolean() }).partial()
const EMPTY = z.strictObject({}).optional()

export function createApi(options: ApiOptions): Routes {
  const { directory, tokens, now } = options
  const NEW_TOKEN = z
    .strictObject({ ttlS: z.int().min(1).max(options.tokenTtlSMax).default(TOKEN_TTL_S) })
    .default({ ttlS: TOKEN_TTL_S })
  return {
    'GET /healthz': async () => ({ status: 200, json: { status: 'ok' } }),
    'GET /readyz': async () => {
      if (!(await options.isReady())) throw new Problem(503, 'the database is away or not up to date')
      return { status: 200, json: { status: 'ready' } }
    },
    'GET /metrics': async () => ({ status: 200, ...(await options.metrics()) }),
    'GET /v1/me': asUser(async (_, user) => ({ status: 200, json: user })),
    'GET /v1/users': asAdmin(listUsers),
    'POST /v1/users': asAdmin(addUser),
    'POST /v1/users/{id}/tokens': asAdmin(async (request) => {
      const { ttlS } = parse(NEW_TOKEN, request.body)
      return issueToken(request, ttlS)
    }),
    'GET /v1/devices': asCaller(listDevices),
    'POST /v1/devices': asCaller(addDevice),
    'GET /v1/devices/{id}': asOwner(async (_, device) => ({ status: 200, json: device })),
    'PATCH /v1/devices/{id}': asOwner(changeDevice),
    'DELETE /v1/devices/{id}': asOwner(deleteDevice),
    'POST /v1/devices/{id}/key': asOwner(async (request, device) => {
      parse(EMPTY, request.body)
      return { status: 201, json: await giveKey(device.id) }
    }),
  }

  async function listUsers({ query }: Request) {
    const { email, after, limit } = parse(USER_QUERY, Object.fromEntries(query))
    const users = await directory.listUsers(email ?? null, after, limit)
    return { status: 200, json: { users, next: nextOf(users, limit) } }
  }

  async function addUser({ body }: Request) {
    const { email, name: given, role } = parse(NEW_USER, body)
    const user = await directory.insertUser({ email, name: given ?? email.split('@')[0]!, role })
    if (user === null) throw new Problem(409, `there is a user with the address ${email}`)
    return { status: 201, json: user }
  }

  async function issueToken({ parameters }: Request, ttlS: number) {
    const user = await directory.findUser(parse(idText, parameters.id, 'id'))
    if (!user?.isActive) throw new Problem(404, 'there is no such user')
    const { token, expiresMs } = await tokens.issue(user.id, ttlS, now())
    return { status: 201, json: { token, expiresAt: new Date(expiresMs).toISOString() } }
  }

  async function listDevices({ query }: Request, caller: Caller) {
    const { userId, after, limit } = parse(DEVICE_QUERY, Object.fromEntries(query))
    const devices = await directory.listDevices(ownerOf(caller, userId), after, limit)
    return { status: 200, json: { devices, next: nextOf(devices, limit) } }
  }

  async function addDevice({ body }: Request, caller: Caller) {
    const { userId, withKey: _, ...given } = parse(NEW_DEVICE, body)
    const owner = ownerOf(caller, userId)
    if (owner === null)
      throw new Problem(400, 'userId says whose device it is', [{ field: 'userId', message: 'required' }])
    const device = await directory.insertDevice({ ...given, userId: owner })
    if (device === null) throw new Problem(404, 'there is no such user')
    const answer = await giveKey(device.id)
    options.onDevice(answer.device)
    return { status: 201, json: answer }
  }

  /** The device's old key ends with this, and so does the socket that used it. */
  async function giveKey(deviceId: number) {
    const { deviceKey, keyHash } = createDeviceKey(deviceId)
    const device = await directory.writeDeviceKey(deviceId, keyHash)
    if (device === null) throw new Problem(404, 'there is no such device')
    options.onDeviceKey(device)
    return { device, deviceKey }
  }

  async function changeDevice({ body }: Request, { id: deviceId }: DeviceRow) {
    const device = await directory.updateDevice(deviceId, parse(DEVICE_CHANGE, body))
    if (device === null) throw new Problem(404, 'there is no such device')
    if (device.isActive) options.onDevice(device)
    else options.onDeviceGone(device)
    return { status: 200, json: device }
  }

  async function deleteDevice(_: Request, device: DeviceRow) {
    if (!(await directory.deleteDevice(device.id))) throw new Problem(404, 'there is no such device')
    options.onDeviceGone(device)
    return { status: 204 as const }
  }

  function asCaller(handle: (request: Request, caller: Caller) => ReturnType<Handler>): Handler {
    return async (request) => handle(request, await identify(request.token))
  }

  function asUser(handle: (request: Request, user: UserRow) => ReturnType<Handler>): Handler {
    return asCaller(async (request, { user }) => {
      if (user === null) throw new Problem(403, 'the operator is not a user')
      return handle(request, user)
    })
  }

  function asAdmin(handle: Handler): Handler {
    return asCaller(async (request, { isAdmin }) => {
      if (!isAdmin) throw new Problem(403, 'only admins may do this')
      return handle(request)
    })
  }

  /** The device of the path, if the caller may see it; else it is not there. */
  function asOwner(handle: (request: Request, device: DeviceRow) => ReturnType<Handler>): Handler {
    return asCaller(async (request, { user, isAdmin }) => {
      const device = await directory.findDevice(parse(idText, request.parameters.id, 'id'))
      if (device === null || !(isAdmin || device.userId === user?.id)) {
        throw new Problem(404, 'there is no such device')
      }
      return handle(request, device)
    })
  }

  async function identify(token: string | null): Promise<Caller> {
    if (token === null) throw new Problem(401, 'a token is needed: Authorization: Bearer <token>')
    const check = await tokens.check(token, now())
    if (check.is !== 'valid')
      throw new Problem(401, check.is === 'expired' ? 'the token has expired' : 'the token is refused')
    if (check.subject === 'operator') return { user: null, isAdmin: true }
    const user = await directory.findUser(check.subject.userId)
    if (!user?.isActive) throw new Problem(401, 'the token is refused')
    return { user, isAdmin: user.role === 'admin' }
  }
}

/** Whose devices are meant: the caller's own, or for an admin anyone's; null is everyone's. */
function ownerOf(caller: Caller, userId: number | undefined): number | null {
  if (caller.isAdmin) return userId ?? caller.user?.id ?? null
  if (userId !== undefined && userId !== caller.user.id)
    throw new Problem(403, 'only admins may name another user')
  return caller.user.id
}

function nextOf(rows: readonly { id: number }[], limit: number): string | null {
  return rows.length === limit ? String(rows.at(-1)!.id) : null
}

function parse<Schema extends z.ZodType>(schema: Schema, input: unknown, field?: string): z.output<Schema> {
  const parsed = schema.safeParse(input)
  if (parsed.success) return parsed.data
  const errors = parsed.error.issues.map((issue) => ({
    field: field ?? (issue.code === 'unrecognized_keys' ? issue.keys.join(', ') : issue.path.join('.')),
    message: issue.message,
  }))
  throw new Problem(400, errors.map((error) => `${error.field}: ${error.message}`).join('; '), errors)
}
