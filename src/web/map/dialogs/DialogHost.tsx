/** The dialog that is open, if one is. */
import { AddDevice } from '../../devices/AddDevice.tsx'
import { EditDevice } from '../../devices/EditDevice.tsx'
import { PairAgain } from '../../devices/PairAgain.tsx'
import { RemoveDevice } from '../../devices/RemoveDevice.tsx'
import type { Desk } from '../desk.ts'
import { Shares } from './Shares.tsx'

export function DialogHost({ desk }: { desk: Desk }) {
  const { api, watch, dialog } = desk
  const device = watch.devices.get(desk.selectedId.value ?? 0)
  const isDark = desk.theme.isDark.value
  const onClose = () => {
    dialog.value = null
  }
  if (dialog.value === 'add') {
    return <AddDevice api={api} watch={watch} isDark={isDark} onClose={onClose} onShow={desk.select} />
  }
  if (dialog.value === 'shares') return <Shares desk={desk} />
  if (dialog.value === null || device === undefined) return null
  switch (dialog.value) {
    case 'edit':
      return <EditDevice api={api} device={device} isDark={isDark} onClose={onClose} />
    case 'pair':
      return <PairAgain api={api} watch={watch} device={device} onClose={onClose} onShow={desk.select} />
    case 'remove':
      return <RemoveDevice api={api} device={device} onClose={onClose} />
  }
}
