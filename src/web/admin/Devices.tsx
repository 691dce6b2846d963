/** Everyone's devices: who is there, whose each is, and what went wrong with it last. */
import { useState } from 'preact/hooks'
import type { DeviceView } from '../../client/browser.ts'
import { systemClock } from '../../clock.ts'
import { AddDevice } from '../devices/AddDevice.tsx'
import { EditDevice } from '../devices/EditDevice.tsx'
import { PairAgain } from '../devices/PairAgain.tsx'
import { RemoveDevice } from '../devices/RemoveDevice.tsx'
import { Icon } from '../look/Icon.tsx'
import { useSecond } from '../look/useSecond.ts'
import { ageWords } from '../look/words.ts'
import { orderedDevices } from '../map/order.ts'
import type { Office } from './office.ts'
import { Scroller } from './Scroller.tsx'

const ROWS = 50

type Act = 'edit' | 'pair' | 'remove'

export function Devices({ office, isDark }: { office: Office; isDark: boolean }) {
  const [search, setSearch] = useState('')
  const [rows, setRows] = useState(ROWS)
  const [asked, setAsked] = useState<{ act: Act; device: DeviceView } | null>(null)
  const [isAdding, setAdding] = useState(false)
  office.watch.changes.value
  const nowMs = useSecond() + office.watch.now() - systemClock.now()
  const devices = orderedDevices(office.watch.devices.values(), search)
  const owners = new Map(office.users.value.map(({ id, name }) => [id, name]))
  const close = () => setAsked(null)
  return (
    <div class="stack">
      <div class="row wrap foot">
        <label class="field narrow">
          <span>Search</span>
          <input type="search" value={search} onInput={(event) => setSearch(event.currentTarget.value)} />
        </label>
        <button type="button" class="button main" onClick={() => setAdding(true)}>
          <Icon name="add" /> Add a device
        </button>
      </div>
      {office.watch.devices.size === 0 && <p class="muted">No device yet.</p>}
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
        <EditDevice api={office.api} device={asked.device} isDark={isDark} onClose={close} />
      )}
      {asked?.act === 'pair' && (
        <PairAgain api={office.api} watch={office.watch} device={asked.device} onClose={close} />
      )}
      {asked?.act === 'remove' && <RemoveDevice api={office.api} device={asked.device} onClose={close} />}
      {isAdding && (
        <AddDevice
          api={office.api}
          watch={office.watch}
          isDark={isDark}
          owners={office.users.value.filter(({ isActive }) => isActive)}
          onClose={() => setAdding(false)}
        />
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
  onAsk: (act: Act) => void
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
            class="button small"
            onClick={() => onAsk('pair')}
            aria-label={`Pair again as ${device.name}`}
          >
            Pair again
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
