/** The page of the live map: the chart fills it, everything else lies above. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import type { ConfigJson } from '../../protocol/http.ts'
import type { Credential } from '../hub/credential.ts'
import { Icon } from '../look/Icon.tsx'
import type { Theme } from '../look/theme.ts'
import { DevicePanel } from './DevicePanel.tsx'
import { openDesk } from './desk.ts'
import { DialogHost } from './dialogs/DialogHost.tsx'
import { ListPanel } from './ListPanel.tsx'
import { ReplayBar } from './ReplayBar.tsx'
import { StatusBar } from './StatusBar.tsx'

const WIDE = '(min-width: 720px)'

export function MapPage({
  credential,
  setup,
  theme,
}: {
  credential: Credential
  setup: ConfigJson
  theme: Theme
}) {
  const desk = useMemo(() => openDesk({ credential, setup, theme }), [credential, setup, theme])
  const ground = useRef<HTMLDivElement>(null)
  const panel = useRef<HTMLElement>(null)
  const [problem, setProblem] = useState<string | null>(null)
  useEffect(() => () => desk.close(), [desk])

  useEffect(() => {
    let close = () => {}
    let isGone = false
    // The map is the larger part of the page; lists and state are shown before it is there.
    import('./chart/chart.ts')
      .then(({ openChart }) => {
        if (isGone) return
        const chart = openChart({
          container: ground.current!,
          watch: desk.watch,
          theme,
          mapStyle: setup.mapStyle,
          insets: insetsOf(panel.current),
          onPick: desk.select,
          onMoved: () => desk.follow(null),
          onPassed: desk.passed,
        })
        close = chart.close
        desk.attach(chart)
      })
      .catch(() => setProblem('The map cannot be drawn here: it needs WebGL. The list works without it.'))
    return () => {
      isGone = true
      close()
    }
  }, [desk, setup, theme])

  useEffect(() => {
    const observer = new ResizeObserver(() => desk.setInsets(insetsOf(panel.current)))
    if (panel.current !== null) observer.observe(panel.current)
    return () => observer.disconnect()
  }, [desk])

  const player = desk.player.value
  useEffect(() => {
    // The bar of the replay covers some of the map, or does not any more.
    desk.setInsets(insetsOf(panel.current))
    desk.fitSession()
  }, [desk, player])

  useEffect(() => {
    const leave = (event: KeyboardEvent) => {
      if (event.key !== 'Escape' || desk.dialog.peek() !== null) return
      if (desk.player.peek() !== null) desk.closeSession()
      else desk.select(null)
    }
    addEventListener('keydown', leave)
    return () => removeEventListener('keydown', leave)
  }, [desk])

  const isOpen = desk.isListOpen.value
  return (
    <div class="map-page" data-replay={player !== null}>
      <div class="ground" ref={ground} />
      {problem !== null && (
        <p class="notice map-problem" role="alert">
          {problem}
        </p>
      )}
      <aside class="panel" ref={panel} data-open={isOpen} aria-label="Devices">
        {desk.selectedId.value === null ? <ListPanel desk={desk} /> : <DevicePanel desk={desk} />}
      </aside>
      <StatusBar desk={desk} />
      <fieldset class="zoom">
        <legend class="hidden-text">Zoom</legend>
        <button type="button" class="icon-button" aria-label="Zoom in" onClick={() => desk.zoom(1)}>
          +
        </button>
        <button type="button" class="icon-button" aria-label="Zoom out" onClick={() => desk.zoom(-1)}>
          −
        </button>
        <button
          type="button"
          class="icon-button"
          aria-label={player === null ? 'Show all devices' : 'Show the whole session'}
          onClick={desk.fitAll}
        >
          <Icon name="fit" />
        </button>
      </fieldset>
      {player !== null && <ReplayBar desk={desk} player={player} />}
      <DialogHost desk={desk} />
      <p class="hidden-text" role="status" aria-live="polite">
        {desk.said.value}
      </p>
    </div>
  )
}

/** What of the map the panel and the bar of a replay cover. */
function insetsOf(panel: HTMLElement | null) {
  const insets = { top: 56, right: 8, bottom: 8, left: 8 }
  if (panel === null) return insets
  const { width, height } = panel.getBoundingClientRect()
  const bar = document.querySelector('.replay')?.getBoundingClientRect().height ?? 0
  return matchMedia(WIDE).matches
    ? { ...insets, left: width + 24, bottom: bar === 0 ? 8 : bar + 16 }
    : { ...insets, bottom: height + (bar === 0 ? 0 : bar + 16) }
}
