/** Asks once more before a device is removed. */
import type { DeviceView } from '../../client/browser.ts'
import type { Api } from '../hub/api.ts'
import { useAsk } from '../hub/useAsk.ts'
import { Dialog } from '../look/Dialog.tsx'

export function RemoveDevice({
  api,
  device,
  onClose,
}: {
  api: Pick<Api, 'send'>
  device: DeviceView
  onClose: () => void
}) {
  const { isBusy, problem, ask } = useAsk()
  return (
    <Dialog title={`Remove ${device.name}?`} onClose={onClose}>
      <p>
        It is disconnected and gone from every map at once, and cannot come back. What it recorded stays
        stored.
      </p>
      {problem !== null && (
        <p class="notice bad" role="alert">
          {problem}
        </p>
      )}
      <div class="row">
        <button type="button" class="button grow" onClick={onClose}>
          Keep it
        </button>
        <button
          type="button"
          class="button danger grow"
          disabled={isBusy}
          onClick={() =>
            ask(async () => {
              await api.send('DELETE', `/v1/devices/${device.deviceId}`)
              onClose()
            })
          }
        >
          Remove it
        </button>
      </div>
    </Dialog>
  )
}
