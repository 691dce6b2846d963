/** Asks once more before a device is removed. */
import type { DeviceView } from '../../../client/browser.ts'
import { useAsk } from '../../hub/useAsk.ts'
import { Dialog } from '../../look/Dialog.tsx'
import type { Desk } from '../desk.ts'

export function RemoveDevice({ desk, device }: { desk: Desk; device: DeviceView }) {
  const { isBusy, problem, ask } = useAsk()
  const close = () => {
    desk.dialog.value = null
  }
  return (
    <Dialog title={`Remove ${device.name}?`} onClose={close}>
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
        <button type="button" class="button grow" onClick={close}>
          Keep it
        </button>
        <button
          type="button"
          class="button danger grow"
          disabled={isBusy}
          onClick={() =>
            ask(async () => {
              await desk.api.send('DELETE', `/v1/devices/${device.deviceId}`)
              close()
            })
          }
        >
          Remove it
        </button>
      </div>
    </Dialog>
  )
}
