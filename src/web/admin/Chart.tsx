/** One live chart: a title, what it means, the values of now, and the last minutes as lines. */
import 'uplot/dist/uPlot.min.css'
import { useEffect, useRef } from 'preact/hooks'
import UPlot from 'uplot'
import { colorOf } from '../look/colors.ts'
import { countWords } from '../look/words.ts'
import type { ChartSpec } from './figures.ts'
import type { Office } from './office.ts'

const HEIGHT = 150
const HUES = ['blue', 'orange', 'green', 'purple'] as const

export function Chart({ office, spec, isDark }: { office: Office; spec: ChartSpec; isDark: boolean }) {
  const place = useRef<HTMLDivElement>(null)
  const plot = useRef<UPlot | null>(null)
  const stats = office.stats.value
  const series = office.samples.series(spec)
  const isLive = office.connection.value.name === 'open'

  useEffect(() => {
    const element = place.current!
    const made = new UPlot(optionsOf(spec, isDark, element.clientWidth), dataOf(office, spec), element)
    plot.current = made
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }))
    observer.observe(element)
    return () => {
      observer.disconnect()
      made.destroy()
    }
  }, [office, spec, isDark])

  useEffect(() => {
    if (stats !== null) plot.current?.setData(dataOf(office, spec))
  }, [stats, office, spec])

  return (
    <figure class="chart">
      <figcaption>
        <h2>{spec.title}</h2>
        <p class="small muted">{spec.meaning}</p>
        <ul class="row wrap legend">
          {spec.lines.map(({ label }, i) => (
            <li key={label}>
              <svg width="14" height="4" aria-hidden="true">
                <rect width="14" height="4" rx="2" fill={colorOf(HUES[i]!, isDark)} />
              </svg>
              {label}{' '}
              <strong>{valueWords(isLive ? (series[i + 1]!.at(-1) ?? null) : null, spec.unit)}</strong>
            </li>
          ))}
        </ul>
      </figcaption>
      <div class="plot" ref={place} aria-hidden="true" />
    </figure>
  )
}

function dataOf(office: Office, spec: ChartSpec): UPlot.AlignedData {
  return office.samples.series(spec) as UPlot.AlignedData
}

function valueWords(value: number | null, unit: ChartSpec['unit']): string {
  if (value === null) return '–'
  return `${countWords(value)}${unit === '/s' || unit === '' ? unit : ` ${unit}`}`
}

function optionsOf({ lines }: ChartSpec, isDark: boolean, width: number): UPlot.Options {
  const ink = isDark ? '#9fb2bc' : '#52626b'
  const rule = isDark ? '#22343f' : '#ebe7dd'
  const axis = {
    stroke: ink,
    font: '11px "Geist Variable", system-ui, sans-serif',
    grid: { stroke: rule, width: 1 },
    ticks: { show: false },
  }
  return {
    width: Math.max(1, width),
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    padding: [8, 6, 0, 0],
    scales: { y: { range: (_plot, _min, max) => [0, Math.max(1, (max ?? 0) * 1.15)] } },
    axes: [
      { ...axis, space: 70, size: 22, values: '{HH}:{mm}:{ss}' },
      { ...axis, size: 46, space: 34, values: (_plot, ticks) => ticks.map((tick) => countWords(tick)) },
    ],
    series: [
      {},
      ...lines.map(({ label }, i) => ({
        label,
        stroke: colorOf(HUES[i]!, isDark),
        width: 2,
        fill: i === 0 ? `${colorOf(HUES[i]!, isDark)}1f` : undefined,
        points: { show: false },
      })),
    ] as UPlot.Series[],
  }
}
