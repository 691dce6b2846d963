/** Renames or recolours a device. */
import type { DeviceView } from '../../../client/browser.ts'
import { useAsk } from '../../hub/useAsk.ts'
import { Dialog } from '../../look/Dialog.tsx'
import type { Desk } from '../desk.ts'
import { DeviceForm } from './DeviceForm.tsx'

export function EditDevice({ desk, device }: { desk: Desk; device: DeviceView }) {
  const { isBusy, problem, ask } = useAsk()
  return (
    <Dialog title="Edit device" onClose={() => (desk.dialog.value = null)}>
      <DeviceForm
        initial={{ name: device.name, color: device.color }}
        isDark={desk.theme.isDark.value}
        isBusy={isBusy}
        problem={problem}
        words="Save"
        onSubmit={(fields) =>
          ask(async () => {
            await desk.api.send('PATCH', `/v1/devices/${device.deviceId}`, fields)
            desk.dialog.value = null
          })
        }
      />
    </Dialog>
  )
}
