/**
 * A pairing link as QR code and text, for as long as it is good; it turns into the device once it has paired. The
 * hub's word on that is `pairedAt`, asked for when a sign of the device comes and every few seconds.
 */
import { useEffect, useState } from 'preact/hooks'
import { systemClock } from '../../clock.ts'
import type { DeviceJson, PairingJson } from '../../protocol/http.ts'
import type { Api } from '../hub/api.ts'
import { CopyButton } from '../look/CopyButton.tsx'
import { Icon } from '../look/Icon.tsx'
import { Qr } from '../look/Qr.tsx'
import { useSecond } from '../look/useSecond.ts'
import { durationWords } from '../look/words.ts'
import type { Watch } from '../map/watch.ts'

const LOOK_EVERY_MS = 2_000

export function PairingCode({
  api,
  watch,
  pairing,
  onAgain,
  onClose,
  onShow,
}: {
  api: Pick<Api, 'get'>
  watch: Pick<Watch, 'listen' | 'now'>
  pairing: PairingJson
  onAgain: () => void
  onClose: () => void
  /** Where the device can be shown at once. */
  onShow?: ((deviceId: number) => void) | undefined
}) {
  const { device, pairingUrl, pairingToken, expiresAt } = pairing
  const isPaired = usePaired(api, watch, device)
  const leftS = (Date.parse(expiresAt) - useSecond() - (watch.now() - systemClock.now())) / 1_000
  if (isPaired) {
    return (
      <div class="stack paired" role="status">
        <span class="seal">
          <Icon name="phone" size={34} />
        </span>
        <h3>{device.name} is paired</h3>
        <p class="muted">It is on the map as soon as it has sent its first position.</p>
        <button
          type="button"
          class="button main"
          onClick={() => {
            onClose()
            onShow?.(device.id)
          }}
        >
          {onShow === undefined ? 'Done' : 'Show it'}
        </button>
      </div>
    )
  }
  if (leftS <= 0) {
    return (
      <div class="stack">
        <p class="notice">This code has expired.</p>
        <button type="button" class="button main" onClick={onAgain}>
          Make a new one
        </button>
      </div>
    )
  }
  return (
    <div class="stack">
      <p>
        Scan this with the phone that is to be <strong>{device.name}</strong>, or open the link on it.
      </p>
      <Qr text={pairingUrl} label={`QR code of the pairing link of ${device.name}`} />
      <div class="row">
        <CopyButton text={pairingUrl} words="Copy the link" />
        <CopyButton text={pairingToken} words="Copy the code" />
      </div>
      <p class="small muted" role="status">
        Waiting for the phone. Good for one device, {durationWords(leftS)} more.
      </p>
      {!isSecureFor(pairingUrl) && (
        <p class="notice">
          This address is not HTTPS. A phone's browser tells no position to such pages; put a proxy with TLS
          in front of the hub, or use an app.
        </p>
      )}
    </div>
  )
}

function usePaired(api: Pick<Api, 'get'>, watch: Pick<Watch, 'listen'>, device: DeviceJson): boolean {
  const [isPaired, setPaired] = useState(false)
  useEffect(() => {
    if (isPaired) return
    const look = async () => {
      const now = await api.get<DeviceJson>(`/v1/devices/${device.id}`).catch(() => null)
      if (now !== null && now.pairedAt !== null && now.pairedAt !== device.pairedAt) setPaired(true)
    }
    const endLooking = systemClock.every(LOOK_EVERY_MS, look)
    const stopListening = watch.listen((event) => {
      if ('device' in event && event.device.deviceId === device.id) look()
    })
    return () => {
      endLooking()
      stopListening()
    }
  }, [api, watch, device, isPaired])
  return isPaired
}

function isSecureFor(url: string): boolean {
  const { protocol, hostname } = new URL(url)
  return protocol === 'https:' || hostname === 'localhost' || hostname === '127.0.0.1' || hostname === '[::1]'
}
