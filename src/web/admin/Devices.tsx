/** Everyone's devices: who is there, whose each is, and what went wrong with it last. */
import { useState } from 'preact/hooks'
import type { DeviceView } from '../../client/browser.ts'
import { EditDevice } from '../devices/EditDevice.tsx'
import { RemoveDevice } from '../devices/RemoveDevice.tsx'
import { useSecond } from '../look/useSecond.ts'
import { ageWords } from '../look/words.ts'
import { orderedDevices } from '../map/order.ts'
import type { Office } from './office.ts'
import { Scroller } from './Scroller.tsx'

const ROWS = 50

export function Devices({ office, isDark }: { office: Office; isDark: boolean }) {
  const [search, setSearch] = useState('')
  const [rows, setRows] = useState(ROWS)
  const [asked, setAsked] = useState<{ act: 'edit' | 'remove'; device: DeviceView } | null>(null)
  office.watch.changes.value
  const nowMs = useSecond() + office.watch.now() - Date.now()
  const devices = orderedDevices(office.watch.devices.values(), search)
  const owners = new Map(office.users.value.map(({ id, name }) => [id, name]))
  if (office.watch.devices.size === 0) {
    return <p class="muted">No device yet. Whoever opens the map can add one.</p>
  }
  return (
    <div class="stack">
      <label class="field narrow">
        <span>Search</span>
        <input type="search" value={search} onInput={(event) => setSearch(event.currentTarget.value)} />
      </label>
      <Scroller label="Table of devices">
        <thead>
          <tr>
            <th scope="col">Device</th>
            <th scope="col">Of</th>
            <th scope="col">State</th>
            <th scope="col">Last seen</th>
            <th scope="col">Last error</th>
            <th scope="col">
              <span class="hidden-text">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {devices.slice(0, rows).map((device) => (
            <Row
              key={device.deviceId}
              office={office}
              device={device}
              owner={owners.get(device.userId)}
              nowMs={nowMs}
              onAsk={(act) => setAsked({ act, device })}
            />
          ))}
        </tbody>
      </Scroller>
      {devices.length > rows && (
        <button type="button" class="button" onClick={() => setRows(rows + 4 * ROWS)}>
          Show more of {devices.length}
        </button>
      )}
      {asked?.act === 'edit' && (
        <EditDevice api={office.api} device={asked.device} isDark={isDark} onClose={() => setAsked(null)} />
      )}
      {asked?.act === 'remove' && (
        <RemoveDevice api={office.api} device={asked.device} onClose={() => setAsked(null)} />
      )}
    </div>
  )
}

function Row({
  office,
  device,
  owner,
  nowMs,
  onAsk,
}: {
  office: Office
  device: DeviceView
  owner: string | undefined
  nowMs: number
  onAsk: (act: 'edit' | 'remove') => void
}) {
  const isHearing = office.watch.connection.value.name === 'open'
  const error = office.errors.value.get(device.deviceId)
  return (
    <tr>
      <th scope="row">
        {device.name} <span class="muted small">#{device.deviceId}</span>
      </th>
      <td>{owner ?? `user ${device.userId}`}</td>
      <td>
        {isHearing ? (
          <span class={device.online ? 'tag good' : 'tag'}>{device.online ? 'online' : 'offline'}</span>
        ) : (
          <span class="tag warn">unknown</span>
        )}
      </td>
      <td>{seenWords(device, nowMs, isHearing)}</td>
      <td class={error === undefined ? 'muted' : 'bad'}>
        {error === undefined ? '–' : `${error.message}, ${ageWords(nowMs - Date.parse(error.at))} ago`}
      </td>
      <td>
        <div class="row end">
          <button
            type="button"
            class="button small"
            onClick={() => onAsk('edit')}
            aria-label={`Edit ${device.name}`}
          >
            Edit
          </button>
          <button
            type="button"
            class="button danger small"
            onClick={() => onAsk('remove')}
            aria-label={`Remove ${device.name}`}
          >
            Remove
          </button>
        </div>
      </td>
    </tr>
  )
}

function seenWords({ online, lastSeenMs, last }: DeviceView, nowMs: number, isHearing: boolean): string {
  if (online && isHearing) return 'now'
  const seenMs = Math.max(lastSeenMs ?? 0, last?.recordedMs ?? 0)
  return seenMs === 0 ? 'never' : `${ageWords(nowMs - seenMs)} ago`
}
