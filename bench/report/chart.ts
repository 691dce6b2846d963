/** Bars as SVG: a group for each case, a bar for each contender. It knows nothing of what is measured. */

export interface Bars {
  title: string
  unit: string
  /** Each with the same contenders, or fewer of them. */
  groups: { name: string; bars: { name: string; value: number }[] }[]
  /** Where values differ by more than the eye can compare. */
  isLogarithmic: boolean
}

const WIDTH = 760
const LABEL_WIDTH = 190
const VALUE_WIDTH = 110
const BAR_HEIGHT = 16
const ROW_HEIGHT = 22
const GROUP_GAP = 30
const TOP = 40
const COLORS = ['#1f6f8b', '#99a8b2', '#e07a5f', '#f2cc8f', '#81b29a', '#b5838d', '#6d597a', '#c9ada7']

export function barsAsSvg({ title, unit, groups, isLogarithmic }: Bars): string {
  const values = groups.flatMap(({ bars }) => bars.map(({ value }) => value)).filter((value) => value > 0)
  const lengthOf = scale(Math.min(...values), Math.max(...values), isLogarithmic)
  const colors = new Map<string, string>()
  const parts: string[] = []
  let y = TOP
  for (const { name, bars } of groups) {
    parts.push(words(0, y + 12, name, 'font-weight="bold"'))
    y += ROW_HEIGHT
    for (const bar of bars) {
      if (!colors.has(bar.name)) colors.set(bar.name, COLORS[colors.size % COLORS.length]!)
      parts.push(barOf(bar, y, lengthOf(bar.value), colors.get(bar.name)!))
      y += ROW_HEIGHT
    }
    y += GROUP_GAP - ROW_HEIGHT / 2
  }
  const axis = `${unit}${isLogarithmic ? ', logarithmic' : ''}`
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${y}" fill="#fff"/>`,
    words(0, 16, `${title} (${axis})`, 'font-size="15"'),
    ...parts,
    '</svg>\n',
  ].join('\n')
}

function barOf(bar: { name: string; value: number }, y: number, length: number, color: string): string {
  const [width, middle] = [length.toFixed(1), y + BAR_HEIGHT - 4]
  return [
    words(LABEL_WIDTH - 8, middle, bar.name, 'text-anchor="end"'),
    `<rect x="${LABEL_WIDTH}" y="${y}" width="${width}" height="${BAR_HEIGHT}" fill="${color}"/>`,
    words(LABEL_WIDTH + length + 6, middle, bar.value.toLocaleString('en')),
  ].join('')
}

/** From a value to the length of its bar; the least of a logarithmic one is still to be seen. */
function scale(least: number, most: number, isLogarithmic: boolean): (value: number) => number {
  const room = WIDTH - LABEL_WIDTH - VALUE_WIDTH
  if (!isLogarithmic) return (value) => (Math.max(0, value) / most) * room
  const floor = Math.log(least / 2)
  return (value) => (value > 0 ? ((Math.log(value) - floor) / (Math.log(most) - floor)) * room : 0)
}

function words(x: number, y: number, text: string, attributes = ''): string {
  const escaped = text.replace(/&/g, '&amp;').replace(/</g, '&lt;')
  return `<text x="${x}" y="${y}" fill="#222" ${attributes}>${escaped}</text>`
}
