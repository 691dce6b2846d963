/** Every figure of the hub with its meaning. */
import type { Stats } from '../../client/browser.ts'
import { countWords } from '../look/words.ts'
import { plain } from './meanings.ts'
import type { Office } from './office.ts'
import { Scroller } from './Scroller.tsx'

export function Counters({ office }: { office: Office }) {
  const stats = office.stats.value
  if (stats === null) return <p class="muted">No figures yet.</p>
  return (
    <Scroller label="Table of counters">
      <thead>
        <tr>
          <th scope="col">Figure</th>
          <th scope="col" class="end">
            Now
          </th>
          <th scope="col">Meaning</th>
        </tr>
      </thead>
      <tbody>
        {countersOf(stats).map(([name, value]) => (
          <tr key={name}>
            <th scope="row">{plain(name)}</th>
            <td class="end">{countWords(value)}</td>
            <td class="muted">{office.meanings.value.get(name) ?? ''}</td>
          </tr>
        ))}
      </tbody>
    </Scroller>
  )
}

function countersOf(stats: Stats): [name: string, value: number][] {
  return Object.entries(stats).filter((entry): entry is [string, number] => typeof entry[1] === 'number')
}
