/**
 * May they? What lets devices, viewers and admins in, what they hold while they are there, and what takes it from them.
 * Who somebody is, it is told; where tokens and rows come from it does not know.
 */
import { type Clock, createAttended } from '../clock.ts'
import type { Device, DeviceAccess, DeviceCredentials } from '../core/device.ts'
import type { Directory } from '../core/directory.ts'
import type { Fleet } from '../core/fleet.ts'
import type { Grant, ViewerGrant, Withdrawal } from '../core/grant.ts'
import { createTally } from '../core/tally.ts'
import type { Ops } from '../ops/ops.ts'
import { createAdmission } from './admission.ts'
import { createHelloDeadlines } from './helloDeadline.ts'
import type { Identify } from './identity.ts'
import { createLogin } from './login.ts'
import { createRenewal } from './renewal.ts'
import { createRights } from './rights.ts'

export interface AccessOptions {
  limits: {
    helloTimeoutMs: number
    keyTrustMs: number
    socketsPerUserMax: number
    socketsPerShareMax: number
  }
  ops: Ops
  clock: Clock
  fleet: Fleet
  identify: Identify
  records: AccessRecords
  /** When users were here last, in ms. */
  logins: { note: (userId: number, ms: number) => void }
  /** When this build of the hub was made: its clock cannot truthfully say an earlier time. */
  builtMs: number
}

/** What the database says of people, devices and their rights. All reject when it is away. */
export interface AccessRecords extends Pick<Directory, 'findUser' | 'findShare'> {
  readAccess: (deviceId: number) => Promise<DeviceAccess | undefined>
  readDevice: (deviceId: number) => Promise<DeviceCredentials | undefined>
  /** Those of the grants that are good no more. */
  readWithdrawn: (grants: readonly Grant[], nowMs: number) => Promise<ReadonlyMap<Grant, Withdrawal>>
}

/** The right of a device that is connected has ended; `keyHash` is of the key that it came with. */
export type OnDeviceWithdrawn = (device: Device, keyHash: string, why: Withdrawal) => void

export type Access = ReturnType<typeof createAccess>

export function createAccess(options: AccessOptions) {
  const { limits, ops, clock, records, logins } = options
  const attended = createAttended(clock)
  const userSeats = createTally(limits.socketsPerUserMax)
  const shareSeats = createTally(limits.socketsPerShareMax)
  let hearWithdrawn: OnDeviceWithdrawn = () => {
    throw new Error('nobody hears of devices whose right has ended')
  }
  const rights = createRights({
    readWithdrawn: (grants) => records.readWithdrawn(grants, clock.now()),
    onAnswer: () => admission.noteAnswer(),
  })
  const admission = createAdmission({ ...options, ...records, ops })
  const noteLogin = (userId: number) => logins.note(userId, clock.now())
  const login = createLogin({ identify: options.identify, directory: records, onLogin: noteLogin, clock })
  return {
    attended,
    helloDeadlines: createHelloDeadlines(limits, ops.counts, attended.attendedMs),
    rights,
    admission,
    identify: options.identify,
    noteLogin,
    login,
    renew: createRenewal({ login, hold: (...asked) => rights.hold(...asked), ops }),
    takeSeat,
    releaseSeat,
    holdDevice,
    onWithdrawn,
  }

  /** Whoever has the devices that are connected has to hear of it. */
  function onWithdrawn(hear: OnDeviceWithdrawn): void {
    hearWithdrawn = hear
  }

  /** A device came with this key; returns what is to be called once it has left. */
  function holdDevice(device: Device, keyHash: string): () => void {
    const grant = { role: 'device' as const, userId: device.userId, deviceId: device.id, keyHash }
    return rights.hold(grant, (why) => hearWithdrawn(device, keyHash, why))
  }

  /** The sockets of each user, of viewers and admins together; those of a share are not its owner's. */
  function takeSeat(grant: ViewerGrant): boolean {
    const isTaken = grant.role === 'share' ? shareSeats.take(grant.shareId) : userSeats.take(grant.userId)
    if (!isTaken) ops.counts.userSocketsRefused += 1
    return isTaken
  }

  function releaseSeat(grant: ViewerGrant): void {
    if (grant.role === 'share') shareSeats.release(grant.shareId)
    else userSeats.release(grant.userId)
  }
}
