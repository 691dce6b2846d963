/**
 * What somebody at the map is doing: which device is selected or followed, which session is replayed, which dialog is
 * open. It joins the hub's devices with the chart; the components only show it.
 */
import { signal } from '@preact/signals'
import type { DeviceView } from '../../client/browser.ts'
import { systemClock } from '../../clock.ts'
import type { ConfigJson, SessionJson, TrackJson } from '../../protocol/http.ts'
import { type Api, createApi } from '../hub/api.ts'
import type { Credential } from '../hub/credential.ts'
import { freshTokenOf, SIGN_IN_EXPIRED } from '../hub/openid.ts'
import { bytesOf, colorOf } from '../look/colors.ts'
import type { Theme } from '../look/theme.ts'
import type { Chart, Insets } from './chart/chart.ts'
import { freshnessOf } from './freshness.ts'
import { boundsOf, openingOf } from './opening.ts'
import { createPlayer, type Player } from './player.ts'
import { createReplay, type Moment } from './replay.ts'
import { createTrail, type TrailPoint, waysOf } from './trail.ts'
import { openWatch } from './watch.ts'

export type DialogName = 'add' | 'edit' | 'remove' | 'pair' | 'shares'
export type Scope = 'mine' | 'everyone'

export interface DeskOptions {
  credential: Credential
  setup: ConfigJson
  theme: Theme
}

export type Desk = ReturnType<typeof openDesk>

const PLAYED_LINE_MS = 100

export function openDesk({ credential, setup, theme }: DeskOptions) {
  const selectedId = signal<number | null>(null)
  const followedId = signal<number | null>(null)
  const dialog = signal<DialogName | null>(null)
  const scope = signal<Scope>('mine')
  const isListOpen = signal(matchMedia('(min-width: 720px)').matches)
  const player = signal<Player | null>(null)
  const isHistoryOpen = signal(false)
  const elsewhere = signal(0)
  /** Read out to those who cannot see it. */
  const said = signal('')
  let chart: Chart | null = null
  let hasOpened = false
  /** Selected last, before none was. */
  let leftId: number | null = null
  let playedAtMs = 0
  let callOffTrail: (() => void) | null = null

  const api: Api = createApi({
    token: () => credential.token.peek(),
    onRefused: credential.refused,
  })
  const watch = openWatch({
    token: freshTokenOf(setup, credential),
    subscription: {},
    onRefused: (why) =>
      credential.forget(
        why === 'expired'
          ? SIGN_IN_EXPIRED
          : 'This link or token is not good any more: it was ended, or it has expired.',
      ),
  })
  const trail = createTrail(api, (points) => {
    // A line of thousands of points is not drawn for each of them.
    callOffTrail ??= systemClock.after(PLAYED_LINE_MS, () => {
      callOffTrail = null
      drawTrail(points)
    })
  })
  const stopListening = watch.listen((event) => {
    if (event.type === 'snapshot') openOn()
    if (event.type === 'updated' || event.type === 'points') openOn()
    if (event.type === 'gone' && event.deviceId === selectedId.peek()) select(null)
    if (event.type === 'session' && event.device.deviceId === selectedId.peek()) showTrail(event.device)
  })

  return {
    api,
    watch,
    theme,
    setup,
    credential,
    selectedId,
    followedId,
    dialog,
    scope,
    isListOpen,
    isHistoryOpen,
    player,
    elsewhere,
    said,
    get leftId() {
      return leftId
    },
    attach,
    select,
    follow,
    setScope,
    fitAll,
    openSession,
    closeSession,
    fitSession,
    passed: trail.append,
    setInsets: (insets: Insets) => chart?.setInsets(insets),
    zoom: (by: 1 | -1) => chart?.zoom(by),
    close,
  }

  function attach(opened: Chart): void {
    chart = opened
    chart.select(selectedId.peek())
    openOn()
  }

  /** Once, on what there is when there is something. */
  function openOn(): void {
    if (hasOpened || chart === null || !watch.isComplete.peek()) return
    const nowMs = watch.now()
    const candidates = [...watch.devices.values()].flatMap((device) => {
      if (device.last === null) return []
      const freshness = freshnessOf(device, nowMs, true)
      return [{ ...device.last, isFresh: freshness === 'moving' || freshness === 'still' }]
    })
    const opening = openingOf(candidates)
    if (opening === null) return
    hasOpened = true
    elsewhere.value = opening.elsewhere
    chart.fit(opening.bounds, true)
  }

  function fitAll(): void {
    if (player.peek() !== null) return fitSession()
    const places = [...watch.devices.values()].flatMap(({ last }) => (last === null ? [] : [last]))
    const bounds = boundsOf(places)
    follow(null)
    elsewhere.value = 0
    if (bounds !== null) chart?.fit(bounds)
  }

  function select(deviceId: number | null): void {
    if (deviceId === selectedId.peek()) return
    if (player.peek() !== null) closeSession()
    follow(null)
    leftId = deviceId === null ? selectedId.peek() : null
    selectedId.value = deviceId
    isHistoryOpen.value = false
    chart?.select(deviceId)
    const device = deviceId === null ? undefined : watch.devices.get(deviceId)
    if (device === undefined) return trail.hide()
    isListOpen.value = true
    // The map goes there; who was not in sight before may be now.
    elsewhere.value = 0
    showTrail(device)
    chart?.show(device.deviceId)
    said.value = `${device.name} selected`
  }

  function showTrail({ deviceId, session }: DeviceView): void {
    if (player.peek() !== null) return
    const hasHistory = watch.role.peek() !== 'share'
    trail.show(
      deviceId,
      hasHistory && session !== null && session.status !== 'ended' ? session.startedMs : null,
    )
  }

  function follow(deviceId: number | null): void {
    if (deviceId === followedId.peek()) return
    const name = watch.devices.get(deviceId ?? followedId.peek() ?? 0)?.name ?? ''
    followedId.value = deviceId
    chart?.follow(deviceId)
    said.value = deviceId === null ? `No longer following ${name}` : `Following ${name}`
  }

  function setScope(to: Scope): void {
    if (to === scope.peek()) return
    select(null)
    scope.value = to
    hasOpened = false
    watch.subscribe(to === 'everyone' ? { userIds: [] } : {})
  }

  function selectedColor(): string {
    const device = watch.devices.get(selectedId.peek() ?? 0)
    return colorOf(device?.color ?? 'gray', theme.isDark.peek())
  }

  function drawTrail(points: readonly TrailPoint[]): void {
    if (player.peek() === null) chart?.showWays({ whole: waysOf(points), played: [], color: selectedColor() })
  }

  /** Shows a session of the selected device as it was. Rejects with words for people. */
  async function openSession(session: SessionJson): Promise<void> {
    const { points } = await api.get<TrackJson>(`/v1/sessions/${session.id}/track?format=json`)
    if (session.deviceId !== selectedId.peek()) return
    if (points.length === 0) throw new Error('This session has no points.')
    closeSession()
    follow(null)
    trail.hide()
    const replay = createReplay(points)
    const opened = createPlayer(session, replay, (moment) => drawMoment(opened, moment))
    player.value = opened
    opened.seek(replay.startMs)
    said.value = 'Session opened. Use the time slider to move through it.'
  }

  function fitSession(): void {
    const bounds = boundsOf(player.peek()?.replay.points ?? [])
    if (bounds !== null) chart?.fit(bounds)
  }

  function drawMoment({ replay, isPlaying }: Player, moment: Moment): void {
    chart?.replay(moment, bytesOf(selectedColor()))
    const nowMs = systemClock.elapsed()
    if (isPlaying.peek() && nowMs - playedAtMs < PLAYED_LINE_MS) return
    playedAtMs = nowMs
    const { points } = replay
    const behind = [
      ...points.slice(0, moment.index + 1),
      { ...moment, recordedMs: points[moment.index]!.recordedMs },
    ]
    chart?.showWays({ whole: waysOf(points), played: waysOf(behind), color: selectedColor() })
  }

  function closeSession(): void {
    player.peek()?.close()
    if (player.peek() === null) return
    player.value = null
    chart?.replay(null)
    chart?.showWays(null)
    const device = watch.devices.get(selectedId.peek() ?? 0)
    if (device !== undefined) showTrail(device)
  }

  function close(): void {
    callOffTrail?.()
    player.peek()?.close()
    stopListening()
    watch.close()
  }
}
