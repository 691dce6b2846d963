/**
 * Shows: everything between what happens to a device and whoever watches it, wired once. It knows no socket: frames go to
 * topics of a publisher, and to peers.
 */
import type { Access } from '../access/access.ts'
import type { Device } from '../core/device.ts'
import type { Fleet } from '../core/fleet.ts'
import type { LaneLimits } from '../core/lane.ts'
import type { Ops } from '../ops/ops.ts'
import { createAudience, type Publisher } from './audience.ts'
import { createChanges, type Devices } from './changes.ts'
import { createPump, type PumpOptions } from './pump.ts'
import { createRoster, type RosterRecords } from './roster.ts'
import { createSubscriptions } from './subscription.ts'
import { createTicks } from './ticks.ts'

export interface LiveOptions {
  limits: LaneLimits & PumpOptions['limits']
  ops: Ops
  access: Pick<Access, 'admission' | 'rights' | 'attended' | 'onWithdrawn'>
  fleet: Fleet
  publisher: Publisher
  records: RosterRecords
}

/** Before `attach`: a hub that closes nobody whose right has ended must not run. */
const NOBODY: Devices = {
  closeDevice: () => {
    throw new Error('nobody has the connections of devices')
  },
  tellRates: () => {
    throw new Error('nobody has the connections of devices')
  },
}

export type Live = ReturnType<typeof createLive>

export function createLive({ limits, ops, access, fleet, publisher, records }: LiveOptions) {
  let devices: Devices = NOBODY
  let isRateDue = false
  const audience = createAudience(publisher, ops.counts)
  const roster = createRoster({ fleet, records })
  const ticks = createTicks(access.attended)
  const pump = createPump({ limits, ops, audience, roster, ticks })
  const subscriptions = createSubscriptions({
    limits,
    ops,
    audience,
    roster,
    pump,
    ticks,
    onWatch: () => {
      isRateDue = true
    },
  })
  const changes = createChanges({
    ops,
    access,
    fleet,
    roster,
    audience,
    subscriptions,
    closeDevice: (...asked) => devices.closeDevice(...asked),
  })
  access.onWithdrawn(changes.onDeviceWithdrawn)
  return {
    subscriptions,
    ticks,
    changes,
    publish,
    isWatched: (device: Device) => audience.isWatched(device.userId, device.id),
    attach,
    check,
    gauges: () => ({ viewersLive: subscriptions.liveCount }),
  }

  /** Whoever has the connections of devices. */
  function attach(those: Devices): void {
    devices = those
  }

  /** A frame about a device, for all who watch it. */
  function publish(device: Device, frame: Uint8Array): void {
    if (!device.isGone) audience.publish(device.userId, device.id, frame)
  }

  /** To be called several times a second. */
  function check(): void {
    // Once for however many viewers came or went.
    if (isRateDue) devices.tellRates()
    isRateDue = false
  }
}
