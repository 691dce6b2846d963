/** The stats socket (PROTOCOL.md section 4): the hub's figures once a second, for admins. */
import * as lanes from '../core/lane.ts'
import type { Ticks } from '../live/ticks.ts'
import { CLOSE } from '../protocol/closes.ts'
import { encodeStats } from '../protocol/encode.ts'
import { ROUTE, SUBPROTOCOL, TYPE } from '../protocol/messages.ts'
import { createGuests, type Guest, type GuestLimits, type GuestsOptions } from './guest.ts'

export interface StatsSocketOptions extends GuestsOptions {
  limits: GuestLimits & lanes.LaneLimits & { adminsMax: number }
  ticks: Ticks
  /** The figures of this second. */
  stats: () => Record<string, unknown>
}

const BUFFER_BYTES_MAX = 64 * 1024

export function createStatsSocket({ ticks, stats, ...options }: StatsSocketOptions) {
  const { limits, ops } = options
  const admins = createGuests<Guest>(options, {
    path: ROUTE.stats,
    subprotocol: SUBPROTOCOL.stats,
    max: limits.adminsMax,
    bufferBytesMax: BUFFER_BYTES_MAX,
    open: (guest) => guest,
    mayEnter: ({ role }) => role === 'admin',
    onEnter: ({ peer }, { userId }) => ops.audit.adminLogin({ by: userId, address: peer.address }, 'stats'),
    answer: (admin, _, frame) => {
      if (frame.type === TYPE.seen) lanes.seen(admin.lane, frame.tick, ticks.attendedMs(), limits)
      return frame.type === TYPE.seen
    },
    tend: (admin, attendedMs) => {
      if (lanes.judge(admin.lane, attendedMs, limits) === 'lost') admin.peer.end(CLOSE.slow)
      else if (lanes.isTickDue(admin.lane, attendedMs, limits)) ticks.send(admin)
    },
  })
  return Object.assign(admins, { send, gauges: () => ({ admins: admins.count }) })

  /** To be called once a second. Whoever is late with SEEN skips this one. */
  function send(): void {
    const nowMs = ticks.attendedMs()
    const readers = [...admins.welcomed()].filter(({ lane }) => lanes.judge(lane, nowMs, limits) === 'fine')
    if (readers.length === 0) return
    const frame = encodeStats(stats())
    for (const { peer } of readers) peer.send(frame)
  }
}
