/** The position of this phone, from the browser: every change of it, and a look when nothing has changed for long. */
import { systemClock } from '../../clock.ts'

export interface Position {
  recordedMs: number
  lat: number
  lng: number
  accuracy: number | null
  speed: number | null
  heading: number | null
  altitude: number | null
}

export type ReceiverFault = 'denied' | 'unavailable'

export interface ReceiverOptions {
  onPosition: (position: Position) => void
  onFault: (fault: ReceiverFault) => void
  /** How long without a position before one is asked for: a phone that lies still reports nothing. */
  silenceMs: () => number
}

const OPTIONS: PositionOptions = { enableHighAccuracy: true, maximumAge: 0, timeout: 30_000 }
const LOOK_EVERY_MS = 1_000
/** A receiver's clock that is further off than this is not believed. */
const CLOCK_OFF_MS_MAX = 60_000

/** Asks for the permission when it has to. */
export function openReceiver({ onPosition, onFault, silenceMs }: ReceiverOptions) {
  let heardMs = systemClock.now()
  let isAsking = false
  const watching = navigator.geolocation.watchPosition(heard, failed, OPTIONS)
  const endLooking = systemClock.every(LOOK_EVERY_MS, look)
  return { close }

  function look(): void {
    if (isAsking || systemClock.now() - heardMs < silenceMs()) return
    isAsking = true
    navigator.geolocation.getCurrentPosition(
      (position) => {
        isAsking = false
        heard(position)
      },
      (error) => {
        isAsking = false
        heardMs = systemClock.now()
        failed(error)
      },
      OPTIONS,
    )
  }

  function heard({ coords, timestamp }: GeolocationPosition): void {
    heardMs = systemClock.now()
    const { latitude: lat, longitude: lng, accuracy, speed, heading, altitude } = coords
    const recordedMs = Math.abs(timestamp - heardMs) > CLOCK_OFF_MS_MAX ? heardMs : Math.round(timestamp)
    onPosition({
      recordedMs,
      lat,
      lng,
      accuracy,
      speed,
      // Not a number while it stands still.
      heading: heading === null || Number.isNaN(heading) ? null : heading,
      altitude,
    })
  }

  function failed({ code }: GeolocationPositionError): void {
    if (code === GeolocationPositionError.PERMISSION_DENIED) onFault('denied')
    else onFault('unavailable')
  }

  function close(): void {
    navigator.geolocation.clearWatch(watching)
    endLooking()
  }
}
