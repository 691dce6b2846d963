/** What the HTTP API says, as the pages read it. Times are ISO 8601; lengths in metres, speeds in m/s. */
import type {
  DeviceColor,
  DevicePlatform,
  PointSource,
  SessionStatus,
  UserRole,
} from '../../client/browser.ts'

export interface Setup {
  mapStyle: string | null
  oidc: { issuer: string; clientId: string } | null
}

export interface User {
  id: number
  name: string
  email: string
  role: UserRole
  isActive: boolean
  createdAt: string
  lastLoginAt: string | null
}

export interface Device {
  id: number
  userId: number
  name: string
  platform: DevicePlatform
  color: DeviceColor
  isActive: boolean
  pairedAt: string | null
  lastSeenAt: string | null
  createdAt: string
}

export interface Pairing {
  device: Device
  pairingToken: string
  pairingUrl: string
  expiresAt: string
}

export interface Paired {
  deviceId: number
  deviceKey: string
}

export interface Session {
  id: number
  deviceId: number
  userId: number
  status: SessionStatus
  automatic: boolean
  startedAt: string
  endedAt: string | null
  distanceM: number
  durationS: number
  pointCount: number
}

export interface TrackPoint {
  recordedAt: string
  lat: number
  lng: number
  accuracy: number | null
  speed: number | null
  heading: number | null
  altitude: number | null
  source: PointSource
  sessionId: number
}

export interface Track {
  session: Session
  points: TrackPoint[]
}

export interface Share {
  id: number
  deviceIds: number[]
  expiresAt: string
  createdAt: string
  endedAt: string | null
}

export interface NewShare {
  share: Share
  token: string
  url: string
}

export interface LastError {
  deviceId: number
  at: string
  message: string
}

export const TRACK_FORMATS = ['gpx', 'geojson', 'csv'] as const
export type TrackFormat = (typeof TRACK_FORMATS)[number]
