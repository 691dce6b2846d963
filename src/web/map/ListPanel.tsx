/** All devices in a list with a search; only the rows in sight are in the document. */
import { useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks'
import type { DeviceView } from '../../client/browser.ts'
import { systemClock } from '../../clock.ts'
import { Brand, Icon } from '../look/Icon.tsx'
import { useSecond } from '../look/useSecond.ts'
import { DeviceDot } from './DeviceDot.tsx'
import type { Desk, Scope } from './desk.ts'
import { deviceWords } from './deviceWords.ts'
import { orderedDevices } from './order.ts'

const ROW_PIXELS = 58
const ROWS_AROUND = 8
/** Above the row of the device that somebody comes back from. */
const ROWS_ABOVE = 3
const SEARCH_FROM = 6

export function ListPanel({ desk }: { desk: Desk }) {
  const { watch } = desk
  const [search, setSearch] = useState('')
  const looked = watch.changes.value
  const devices = useMemo(() => orderedDevices(watch.devices.values(), search), [looked, search, watch])
  const isShare = watch.role.value === 'share'
  const count = watch.devices.size
  return (
    <>
      <div class="panel-head">
        <div class="row spread">
          <h1>
            <Brand />
            <span class="hidden-text"> live map</span>
          </h1>
          <PanelHandle desk={desk} count={count} />
        </div>
        {count >= SEARCH_FROM && (
          <label class="search">
            <span class="hidden-text">Search devices</span>
            <Icon name="search" size={16} />
            <input
              type="search"
              placeholder={`Search ${count} devices`}
              value={search}
              onInput={(event) => setSearch(event.currentTarget.value)}
            />
          </label>
        )}
        {watch.role.value === 'admin' && <ScopeChoice desk={desk} />}
      </div>
      <Rows desk={desk} devices={devices} />
      {count > 0 && devices.length === 0 && <p class="empty muted">No device is called “{search}”.</p>}
      {count === 0 && <Empty desk={desk} />}
      {!isShare && (
        <div class="panel-foot row">
          <button type="button" class="button main grow" onClick={() => (desk.dialog.value = 'add')}>
            <Icon name="add" /> Add a device
          </button>
          <button type="button" class="button" onClick={() => (desk.dialog.value = 'shares')}>
            <Icon name="share" /> Share
          </button>
        </div>
      )}
    </>
  )
}

/** On a phone the panel is a sheet that opens and closes. */
export function PanelHandle({ desk, count }: { desk: Desk; count: number }) {
  const isOpen = desk.isListOpen.value
  return (
    <button
      type="button"
      class="handle button plain"
      aria-expanded={isOpen}
      onClick={() => (desk.isListOpen.value = !isOpen)}
    >
      {isOpen ? 'Less' : `${count} device${count === 1 ? '' : 's'}`}
      <span class="chevron">
        <Icon name="less" size={16} />
      </span>
    </button>
  )
}

function ScopeChoice({ desk }: { desk: Desk }) {
  const scopes: readonly [Scope, string][] = [
    ['mine', 'My devices'],
    ['everyone', "Everyone's"],
  ]
  return (
    <fieldset class="segments">
      <legend class="hidden-text">Whose devices</legend>
      {scopes.map(([scope, words]) => (
        <label key={scope}>
          <input
            type="radio"
            name="scope"
            checked={desk.scope.value === scope}
            onChange={() => desk.setScope(scope)}
          />
          <span>{words}</span>
        </label>
      ))}
    </fieldset>
  )
}

function Rows({ desk, devices }: { desk: Desk; devices: readonly DeviceView[] }) {
  const list = useRef<HTMLDivElement>(null)
  const leftId = desk.leftId
  const [from, setFrom] = useState(() => {
    const index = devices.findIndex(({ deviceId }) => deviceId === leftId)
    return Math.max(0, index - ROWS_ABOVE)
  })
  // Whoever comes back from a device finds the list, and the focus, where it was.
  useLayoutEffect(() => {
    list.current!.scrollTop = from * ROW_PIXELS
    if (document.activeElement !== document.body) return
    list.current!.querySelector<HTMLElement>(`[data-device="${leftId}"] button`)?.focus()
  }, [])
  const nowMs = useSecond() + desk.watch.now() - systemClock.now()
  const isHearing = desk.watch.connection.value.name === 'open'
  const isDark = desk.theme.isDark.value
  const height = list.current?.clientHeight ?? 800
  const first = Math.max(0, Math.min(from, devices.length) - ROWS_AROUND)
  const shown = devices.slice(first, from + Math.ceil(height / ROW_PIXELS) + ROWS_AROUND)
  return (
    <div
      class="rows"
      ref={list}
      onScroll={(event) => setFrom(Math.floor(event.currentTarget.scrollTop / ROW_PIXELS))}
    >
      <ul style={{ height: `${devices.length * ROW_PIXELS}px` }} aria-label="Devices">
        {shown.map((device, i) => {
          const { freshness, detail } = deviceWords(device, nowMs, isHearing)
          return (
            <li
              key={device.deviceId}
              style={{ top: `${(first + i) * ROW_PIXELS}px` }}
              data-device={device.deviceId}
              data-freshness={freshness}
            >
              <button type="button" class="device-row" onClick={() => desk.select(device.deviceId)}>
                <DeviceDot device={device} freshness={freshness} isDark={isDark} />
                <span class="grow">
                  <span class="name cut">{device.name}</span>
                  <span class="detail cut">{detail}</span>
                </span>
                {device.session?.status === 'paused' && <span class="tag warn">paused</span>}
              </button>
            </li>
          )
        })}
      </ul>
    </div>
  )
}

function Empty({ desk }: { desk: Desk }) {
  const { role, isComplete, connection } = desk.watch
  if (!isComplete.value) {
    return (
      <p class="empty muted" role="status">
        {connection.value.name === 'waiting' ? 'The hub cannot be reached just now.' : 'Looking for devices…'}
      </p>
    )
  }
  if (role.value === 'share') return <p class="empty muted">Nothing is shared any more.</p>
  return (
    <div class="empty stack">
      <h2>Nothing to see yet</h2>
      <p class="muted">
        A phone becomes a device in a minute: add one here, scan the code with it, and watch it move.
      </p>
    </div>
  )
}
