/** A new device: its name first, then the code that a phone becomes it with. */
import { useState } from 'preact/hooks'
import { DEVICE_COLORS } from '../../../client/browser.ts'
import type { Pairing } from '../../hub/shapes.ts'
import { useAsk } from '../../hub/useAsk.ts'
import { Dialog } from '../../look/Dialog.tsx'
import type { Desk } from '../desk.ts'
import { DeviceForm } from './DeviceForm.tsx'
import { PairingCode } from './PairingCode.tsx'

export function AddDevice({ desk }: { desk: Desk }) {
  const [pairing, setPairing] = useState<Pairing | null>(null)
  const { isBusy, problem, ask } = useAsk()
  return (
    <Dialog title="Add a device" onClose={() => (desk.dialog.value = null)}>
      {pairing === null ? (
        <DeviceForm
          initial={{ name: '', color: DEVICE_COLORS[desk.watch.devices.size % DEVICE_COLORS.length]! }}
          isDark={desk.theme.isDark.value}
          isBusy={isBusy}
          problem={problem}
          words="Show the code"
          onSubmit={(fields) =>
            ask(async () =>
              setPairing(await desk.api.send<Pairing>('POST', '/v1/devices', { ...fields, platform: 'web' })),
            )
          }
        />
      ) : (
        <PairingCode
          desk={desk}
          pairing={pairing}
          onAgain={() =>
            ask(async () =>
              setPairing(await desk.api.send<Pairing>('POST', `/v1/devices/${pairing.device.id}/pairing`)),
            )
          }
        />
      )}
    </Dialog>
  )
}
