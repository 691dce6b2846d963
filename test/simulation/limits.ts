/** The limits of a hub, small enough that a few devices and a minute meet all of them. */
import { parseConfig } from '../../src/config.ts'
import type { Chance } from '../rig/chance.ts'

export type Limits = ReturnType<typeof drawLimits>

const UNLIMITED = 1_000_000
const USUAL = parseConfig({}).limits

export function drawLimits(chance: Chance) {
  const devicesMax = chance.pick([5, 6, 9])
  const batchPointsMax = chance.whole(1, 5)
  const windowPointsMax = batchPointsMax + chance.pick([0, 3, 15])
  return {
    ...USUAL,
    devicesMax,
    batchPointsMax,
    windowPointsMax,
    backlogPointsMax: devicesMax * batchPointsMax + chance.pick([0, 1, 10, 60]),
    writeRowsMax: chance.pick([1, 4, 20]),
    idleDevicesMax: 1,
    helloTimeoutMs: 5_000,
    deviceFrameBytesMax: 32_768,
    heartbeatS: 60,
    closeTimeoutMs: 5_000,
    reconnectSpreadMs: 2_000,
    shutdownMs: 5_000,
    keyTrustMs: 30_000,
    pauseAfterMs: 10_000,
    pauseRetryMs: 5_000,
    rateWatchedMs: 1_000,
    rateUnwatchedMs: 15_000,
    rateEveryMs: 2_000,
    retentionMs: null,
    liveAgeMs: chance.pick([60_000, 5_000, 0]),
    sessionGapMs: chance.pick([5_000, 20_000, 60_000]),
    sessionIdleMs: chance.pick([24 * 3_600_000, 24 * 3_600_000, 10_000]),
    deviceFramesPerS: UNLIMITED,
    deviceFramesBurst: UNLIMITED,
    devicePointsPerS: UNLIMITED,
    devicePointsBurst: UNLIMITED,
    deviceSessionsPerHour: UNLIMITED,
    deviceSessionsBurst: UNLIMITED,
    refusedRowsPerHourMax: chance.pick([3, 1_000]),
    rejectedPointsPerDevice: 1_000,
    viewersMax: 100,
    socketsPerUserMax: 100,
    viewerFrameBytesMax: 8_192,
    viewerBufferBytesMax: 65_536,
    viewerFramesPerS: UNLIMITED,
    viewerFramesBurst: UNLIMITED,
    tickMs: 2_000,
    seenLateMs: 5_000,
    seenTimeoutMs: 30_000,
    // Two devices or so.
    snapBytesMax: chance.pick([120, 2_048]),
    rightsCheckMs: 1_000,
    sessionSweepMs: 4_000,
    lastSeenFlushMs: 2_000,
  }
}
