/** A new device: its name first, then the code that a phone becomes it with. */
import { useState } from 'preact/hooks'
import { DEVICE_COLORS } from '../../client/browser.ts'
import type { NewDeviceJson, PairingJson, UserJson } from '../../protocol/http.ts'
import type { Api } from '../hub/api.ts'
import { useAsk } from '../hub/useAsk.ts'
import { Dialog } from '../look/Dialog.tsx'
import type { Watch } from '../map/watch.ts'
import { DeviceForm } from './DeviceForm.tsx'
import { PairingCode } from './PairingCode.tsx'

export function AddDevice({
  api,
  watch,
  isDark,
  owners = null,
  onClose,
  onShow,
}: {
  api: Pick<Api, 'get' | 'send'>
  watch: Pick<Watch, 'devices' | 'listen' | 'now'>
  isDark: boolean
  /** Whose it may be, where that has to be said; else it is of whoever adds it. */
  owners?: readonly UserJson[] | null
  onClose: () => void
  onShow?: ((deviceId: number) => void) | undefined
}) {
  const [pairing, setPairing] = useState<PairingJson | null>(null)
  const [ownerId, setOwnerId] = useState('')
  const { isBusy, problem, ask } = useAsk()
  return (
    <Dialog title="Add a device" onClose={onClose}>
      {pairing === null ? (
        <DeviceForm
          initial={{ name: '', color: DEVICE_COLORS[watch.devices.size % DEVICE_COLORS.length]! }}
          isDark={isDark}
          isBusy={isBusy}
          problem={problem}
          words="Show the code"
          onSubmit={(fields) =>
            ask(async () =>
              setPairing(
                await api.send<PairingJson>('POST', '/v1/devices', {
                  ...fields,
                  platform: 'web',
                  ...(owners === null ? {} : { userId: Number(ownerId) }),
                } satisfies NewDeviceJson),
              ),
            )
          }
        >
          {owners !== null && (
            <label class="field">
              <span>Whose it is</span>
              <select required value={ownerId} onChange={(event) => setOwnerId(event.currentTarget.value)}>
                <option value="">Choose a user</option>
                {owners.map(({ id, name, email }) => (
                  <option key={id} value={id}>
                    {name} ({email})
                  </option>
                ))}
              </select>
            </label>
          )}
        </DeviceForm>
      ) : (
        <PairingCode
          api={api}
          watch={watch}
          pairing={pairing}
          onAgain={() =>
            ask(async () =>
              setPairing(await api.send<PairingJson>('POST', `/v1/devices/${pairing.device.id}/pairing`)),
            )
          }
          onClose={onClose}
          onShow={onShow}
        />
      )}
    </Dialog>
  )
}
