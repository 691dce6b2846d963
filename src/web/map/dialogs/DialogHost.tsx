/** The dialog that is open, if one is. */
import type { Desk } from '../desk.ts'
import { AddDevice } from './AddDevice.tsx'
import { EditDevice } from './EditDevice.tsx'
import { PairAgain } from './PairAgain.tsx'
import { RemoveDevice } from './RemoveDevice.tsx'
import { Shares } from './Shares.tsx'

export function DialogHost({ desk }: { desk: Desk }) {
  const device = desk.watch.devices.get(desk.selectedId.value ?? 0)
  switch (desk.dialog.value) {
    case null:
      return null
    case 'add':
      return <AddDevice desk={desk} />
    case 'shares':
      return <Shares desk={desk} />
    case 'edit':
      return device === undefined ? null : (
        <EditDevice
          api={desk.api}
          device={device}
          isDark={desk.theme.isDark.value}
          onClose={() => (desk.dialog.value = null)}
        />
      )
    case 'pair':
      return device === undefined ? null : <PairAgain desk={desk} device={device} />
    case 'remove':
      return device === undefined ? null : <RemoveDevice desk={desk} device={device} />
  }
}
