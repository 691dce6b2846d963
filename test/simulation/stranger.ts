/**
 * Somebody with a device key and no points: whoever still has the old key of a device, and tries again and again, or a
 * device that loses its line before it is welcomed. It knows no device and no hub.
 */

import type { Chance } from '../rig/chance.ts'
import * as t from '../rig/points.ts'
import type { Clock } from './clock.ts'
import type { Client, Link } from './network.ts'
import { packFrame } from './wire.ts'

export interface StrangerOptions {
  clock: Clock
  chance: Chance
  client: number
  deviceKey: string
  connect: (client: Client) => Link
}

const AGAIN_MS_MAX = 700

/** Says HELLO, and again whenever it is closed, be it that it was refused, until `untilMs` has come. */
export function persist(
  { clock, chance, client, deviceKey, connect }: StrangerOptions,
  untilMs: number,
): void {
  let link: Link | null = null
  call()
  clock.at(untilMs - clock.nowMs, 'stranger leaves', client, () => link?.leave())

  function call(): void {
    if (clock.nowMs >= untilMs) return
    link = connect({ id: client, onFrame: () => {}, onClose })
    link.sendToHub(packFrame([t.HELLO, deviceKey, 'stranger', null]))
  }

  function onClose(): void {
    link = null
    clock.at(chance.whole(1, AGAIN_MS_MAX), 'stranger calls again', client, call)
  }
}

/** Says HELLO, and loses its line so many ms later. */
export function vanish({ clock, client, deviceKey, connect }: StrangerOptions, afterMs: number): void {
  const link = connect({ id: client, onFrame: () => {}, onClose: () => {} })
  link.sendToHub(packFrame([t.HELLO, deviceKey, 'stranger', null]))
  clock.at(afterMs, 'stranger vanishes', client, () => link.cut(false))
}
