/** A new code for a device that is there: the phone was lost, or the browser forgot it. */
import { useState } from 'preact/hooks'
import type { DeviceView } from '../../client/browser.ts'
import type { PairingJson } from '../../protocol/http.ts'
import type { Api } from '../hub/api.ts'
import { useAsk } from '../hub/useAsk.ts'
import { Dialog } from '../look/Dialog.tsx'
import type { Watch } from '../map/watch.ts'
import { PairingCode } from './PairingCode.tsx'

export function PairAgain({
  api,
  watch,
  device,
  onClose,
  onShow,
}: {
  api: Pick<Api, 'get' | 'send'>
  watch: Pick<Watch, 'listen' | 'now'>
  device: DeviceView
  onClose: () => void
  onShow?: ((deviceId: number) => void) | undefined
}) {
  const [pairing, setPairing] = useState<PairingJson | null>(null)
  const { isBusy, problem, ask } = useAsk()
  const begin = () =>
    ask(async () => setPairing(await api.send<PairingJson>('POST', `/v1/devices/${device.deviceId}/pairing`)))
  return (
    <Dialog title="Pair again" onClose={onClose}>
      {pairing === null ? (
        <>
          <p>
            Whatever phone pairs with the new code becomes <strong>{device.name}</strong>. The one that is it
            now is let go at that moment; what it recorded stays.
          </p>
          {problem !== null && (
            <p class="notice bad" role="alert">
              {problem}
            </p>
          )}
          <button type="button" class="button main" disabled={isBusy} onClick={begin}>
            Show a code
          </button>
        </>
      ) : (
        <PairingCode
          api={api}
          watch={watch}
          pairing={pairing}
          onAgain={begin}
          onClose={onClose}
          onShow={onShow}
        />
      )}
    </Dialog>
  )
}
