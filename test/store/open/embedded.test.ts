/** The embedded database as a whole: it ends when it is told to, whatever it is at, and is as it was afterwards. */
import { expect, test } from 'vitest'
import { openStore } from '../../../src/store/open/store.ts'
import { HOUR_MS, NOW_MS } from '../../core/frames.ts'
import { createEmbedded } from '../../rig/kinds.ts'
import { addDevice, storeOptions, timesOf } from '../eachStore.ts'
import { startWriting } from '../writing.ts'

const T = NOW_MS - HOUR_MS

test('an embedded database can be closed while a statement runs that would take for ever', async () => {
  const database = await createEmbedded()
  const options = storeOptions(database, { writeTimeoutMs: 120_000 })
  const open = () => openStore(options, new AbortController().signal)
  const store = await open()
  const writing = startWriting({ runs: store.writes })
  const device = await addDevice(store.read)
  await writing.send(device, [T, T + 1], T).stored
  await writing.writer.stop(10_000)
  const endless = store.read(
    'with recursive n(i) as (select 1 union all select i from n) select count(*) from n',
  )
  // It was under way: one that is only asked for would be told that the connection has ended.
  const failing = expect(endless).rejects.toMatchObject({ code: 'CONNECTION_DESTROYED' })
  await new Promise((resolve) => setImmediate(resolve))
  await store.close()
  await failing

  const again = await open()
  expect(await timesOf(again.read, device)).toEqual([T, T + 1])
  await again.close()
  await database.drop()
})
