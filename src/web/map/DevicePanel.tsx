/** The selected device: where it is and how it does, what can be done with it, and what it did before. */
import { useEffect, useRef } from 'preact/hooks'
import type { DeviceView } from '../../client/browser.ts'
import { systemClock } from '../../clock.ts'
import { Icon, type IconName } from '../look/Icon.tsx'
import { useSecond } from '../look/useSecond.ts'
import { ageWords, compassWords, momentWords, speedWords } from '../look/words.ts'
import { DeviceDot } from './DeviceDot.tsx'
import type { Desk, DialogName } from './desk.ts'
import { deviceWords } from './deviceWords.ts'
import { History } from './History.tsx'
import { PanelHandle } from './ListPanel.tsx'

export function DevicePanel({ desk }: { desk: Desk }) {
  const { watch } = desk
  // The object stays and changes; these say when to look.
  watch.changes.value
  const nowMs = useSecond() + watch.now() - systemClock.now()
  const heading = useRef<HTMLHeadingElement>(null)
  const deviceId = desk.selectedId.value
  const isReplaying = desk.player.value !== null
  useEffect(() => heading.current?.focus({ preventScroll: true }), [deviceId])
  useEffect(() => {
    // The bar of the replay took the focus with it.
    if (!isReplaying && document.activeElement === document.body) heading.current?.focus()
  }, [isReplaying])
  const device = watch.devices.get(deviceId ?? 0)
  if (device === undefined) return null
  const isHearing = watch.connection.value.name === 'open'
  const { freshness, state } = deviceWords(device, nowMs, isHearing)
  const isShare = watch.role.value === 'share'
  const isFollowed = desk.followedId.value === device.deviceId
  return (
    <>
      <div class="panel-head">
        <div class="row spread">
          <button type="button" class="button plain back" onClick={() => desk.select(null)}>
            ← All devices
          </button>
          <PanelHandle desk={desk} count={watch.devices.size} />
        </div>
        <div class="row title">
          <DeviceDot device={device} freshness={freshness} isDark={desk.theme.isDark.value} />
          <h1 class="grow cut" ref={heading} tabIndex={-1}>
            {device.name}
          </h1>
          <span class={`tag ${state === 'online' ? 'good' : state === 'unknown' ? 'warn' : ''}`}>
            {state}
          </span>
        </div>
      </div>
      <div class="panel-body stack">
        <Figures device={device} nowMs={nowMs} isHearing={isHearing} />
        <div class="row wrap actions">
          <button
            type="button"
            class="button"
            aria-pressed={isFollowed}
            disabled={device.last === null || isReplaying}
            onClick={() => desk.follow(isFollowed ? null : device.deviceId)}
          >
            <Icon name="follow" /> {isFollowed ? 'Following' : 'Follow'}
          </button>
          {!isShare && (
            <>
              <Action desk={desk} dialog="shares" icon="share" words="Share" />
              <Action desk={desk} dialog="edit" icon="edit" words="Edit" />
              <Action desk={desk} dialog="pair" icon="phone" words="Pair again" />
              <Action desk={desk} dialog="remove" icon="trash" words="Remove" isDanger />
            </>
          )}
        </div>
        {device.last === null && (
          <p class="notice">
            No position has come yet. On the phone, open the link of “Pair again” and start a session.
          </p>
        )}
        {!isShare && <History key={device.deviceId} desk={desk} deviceId={device.deviceId} />}
      </div>
    </>
  )
}

function Action({
  desk,
  dialog,
  icon,
  words,
  isDanger = false,
}: {
  desk: Desk
  dialog: DialogName
  icon: IconName
  words: string
  isDanger?: boolean
}) {
  return (
    <button
      type="button"
      class={isDanger ? 'button danger' : 'button'}
      onClick={() => (desk.dialog.value = dialog)}
    >
      <Icon name={icon} /> {words}
    </button>
  )
}

const SESSION_WORDS = { active: 'recording', paused: 'paused', ended: 'ended' } as const

function Figures({ device, nowMs, isHearing }: { device: DeviceView; nowMs: number; isHearing: boolean }) {
  const { last, session, lastSeenMs } = device
  const isThere = deviceWords(device, nowMs, isHearing).freshness
  const isFresh = isThere === 'moving' || isThere === 'still'
  if (last === null) return null
  const seenMs = Math.max(last.recordedMs, lastSeenMs ?? 0)
  return (
    <dl class="figures" data-fresh={isFresh}>
      <Figure name={isFresh ? 'Speed' : 'Speed then'} value={speedWords(last.speed)} />
      <Figure
        name="Heading"
        value={last.heading === null ? '–' : `${compassWords(last.heading)} ${Math.round(last.heading)}°`}
      />
      <Figure name="Accuracy" value={last.accuracy === null ? '–' : `± ${Math.round(last.accuracy)} m`} />
      <Figure name="Position" value={`${ageWords(nowMs - last.recordedMs)} ago`} isOld={!isFresh} />
      <Figure
        name="Last seen"
        value={device.online && isHearing ? 'connected' : `${ageWords(nowMs - seenMs)} ago`}
      />
      <Figure
        name={isHearing ? 'Session' : 'Session then'}
        value={session === null ? '–' : SESSION_WORDS[session.status]}
        title={session === null ? undefined : `since ${momentWords(session.startedMs)}`}
      />
    </dl>
  )
}

function Figure({
  name,
  value,
  isOld = false,
  title,
}: {
  name: string
  value: string
  isOld?: boolean
  title?: string | undefined
}) {
  return (
    <div title={title}>
      <dt>{name}</dt>
      <dd data-old={isOld}>{value}</dd>
    </div>
  )
}
