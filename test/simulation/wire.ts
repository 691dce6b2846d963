/** Frames of the hub as clients read them, written from PROTOCOL.md and from nothing of src/. */
import { Packr, Unpackr } from 'msgpackr'

/** `[type, field, …]` */
export type Frame = [type: number, ...fields: unknown[]]

const packr = new Packr({ useRecords: false })
const unpackr = new Unpackr({ useRecords: false, int64AsType: 'number' })

export function packFrame(frame: readonly unknown[]): Uint8Array {
  return packr.pack(frame)
}

export function unpackFrame(bytes: Uint8Array): Frame {
  return unpackr.unpack(bytes) as Frame
}

/** A device of SNAP and DEVICE. */
export interface Shown {
  deviceId: number
  online: boolean
  epoch: number
  n: number
  sessionMs: number | null
  status: string | null
  lastMs: number | null
  lat: number | null
}

export function shownOf(fields: unknown[]): Shown {
  const last = fields[9] as unknown[] | null
  return {
    deviceId: fields[0] as number,
    online: fields[5] as boolean,
    epoch: fields[7] as number,
    n: fields[8] as number,
    sessionMs: last && (last[0] as number),
    status: last && (last[1] as string),
    lastMs: last && (last[2] as number),
    lat: last && (last[3] as number),
  }
}

export const AUTH = 5
export const AUTH_OK = 70
