/** Renames or recolours a device. */
import type { DeviceView } from '../../client/browser.ts'
import type { DeviceChangeJson } from '../../protocol/http.ts'
import type { Api } from '../hub/api.ts'
import { useAsk } from '../hub/useAsk.ts'
import { Dialog } from '../look/Dialog.tsx'
import { DeviceForm } from './DeviceForm.tsx'

export function EditDevice({
  api,
  device,
  isDark,
  onClose,
}: {
  api: Pick<Api, 'send'>
  device: DeviceView
  isDark: boolean
  onClose: () => void
}) {
  const { isBusy, problem, ask } = useAsk()
  return (
    <Dialog title="Edit device" onClose={onClose}>
      <DeviceForm
        initial={{ name: device.name, color: device.color }}
        isDark={isDark}
        isBusy={isBusy}
        problem={problem}
        words="Save"
        onSubmit={(fields) =>
          ask(async () => {
            await api.send('PATCH', `/v1/devices/${device.deviceId}`, fields satisfies DeviceChangeJson)
            onClose()
          })
        }
      />
    </Dialog>
  )
}
