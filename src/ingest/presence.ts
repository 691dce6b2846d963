/**
 * Which devices are here: one connection each, the newest (D10), and what viewers are told as devices come and go. It
 * knows no frame of theirs.
 */
import type { Access } from '../access/access.ts'
import type { Clock } from '../clock.ts'
import { comeOnline, nextPosition } from '../core/device.ts'
import type { Fleet } from '../core/fleet.ts'
import type { Ops } from '../ops/ops.ts'
import { CLOSE, type Close } from '../protocol/closes.ts'
import { encodePresence } from '../protocol/encode.ts'
import type { Inlet, Viewership } from './intake.ts'

export interface PresenceOptions {
  ops: Ops
  clock: Pick<Clock, 'now'>
  access: Pick<Access, 'holdDevice'>
  fleet: Fleet
  live: Viewership
  seen: { note: (deviceId: number, ms: number) => void }
}

export type Presence = ReturnType<typeof createPresence>

export function createPresence({ ops, clock, access, fleet, live, seen }: PresenceOptions) {
  const inletOf = new Map<number, Inlet>()
  return { replace, come, go, closeDevice, all: () => inletOf.values() }

  /** The device has a newer connection; frames of the older one are still committed. */
  function replace(deviceId: number): void {
    const older = inletOf.get(deviceId)
    if (older === undefined) return
    ops.counts.takeovers += 1
    inletOf.delete(deviceId)
    older.source.end(CLOSE.replaced)
    ops.lastErrors.note(deviceId, CLOSE.replaced.reason)
  }

  /**
   * The device is here, and nothing else of it is: see `replace`. What is published goes out when the handlers are through,
   * so its WELCOME is before that.
   */
  function come(inlet: Inlet): void {
    const { device, keyHash } = inlet
    inlet.release = access.holdDevice(device, keyHash)
    inletOf.set(device.id, inlet)
    // A HELLO beside this one, which lost its socket, has just released it.
    fleet.pin(device)
    comeOnline(device, clock.now())
    seen.note(device.id, device.lastSeenMs!)
    live.publish(device, encodePresence(nextPosition(device), true, clock.now()))
  }

  function go(inlet: Inlet): void {
    const { device } = inlet
    inlet.release()
    if (inletOf.get(device.id) !== inlet) return
    inletOf.delete(device.id)
    device.online = false
    live.publish(device, encodePresence(nextPosition(device), false, device.lastSeenMs ?? clock.now()))
    fleet.release(device)
  }

  /** `isMeant` looks at the hash of the key that the device came with. */
  function closeDevice(
    deviceId: number,
    reason: Close,
    isMeant: (keyHash: string) => boolean = () => true,
  ): void {
    const inlet = inletOf.get(deviceId)
    if (inlet !== undefined && isMeant(inlet.keyHash)) inlet.source.end(reason)
  }
}
