/** Reading many things with few statements: what is asked for meanwhile is read together. */
import { expect, test } from 'vitest'
import { createGather } from '../../../src/store/line/gather.ts'

interface Thing {
  id: number
  name: string
}

/** A database that answers when the test says so, and knows all even ids. */
function createReads() {
  const pending: { ids: number[]; resolve: (things: Thing[]) => void; reject: (error: Error) => void }[] = []
  const asked: number[][] = []
  return { readAll, asked, answer, fail }

  function readAll(ids: readonly number[]): Promise<Thing[]> {
    asked.push([...ids])
    return new Promise((resolve, reject) => {
      pending.push({ ids: [...ids], resolve, reject })
    })
  }

  async function answer(): Promise<void> {
    const { ids, resolve } = pending.shift()!
    // In no particular order, as a database does.
    resolve(
      ids
        .filter((id) => id % 2 === 0)
        .map((id) => ({ id, name: `thing ${id}` }))
        .reverse(),
    )
    await settled()
  }

  async function fail(): Promise<void> {
    pending.shift()!.reject(new Error('away'))
    await settled()
  }
}

function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

test('the first is read at once and alone, and all that are asked for meanwhile together', async () => {
  const { readAll, asked, answer } = createReads()
  const read = createGather(readAll, 100)
  const first = read(2)
  expect(asked).toEqual([[2]])
  const rest = [4, 6, 7].map(read)
  expect(asked).toEqual([[2]])
  await answer()
  expect(await first).toEqual({ id: 2, name: 'thing 2' })
  expect(asked).toEqual([[2], [4, 6, 7]])
  await answer()
  expect((await Promise.all(rest)).map((thing) => thing?.name)).toEqual(['thing 4', 'thing 6', undefined])
})

test('a thing that is asked for twice is read once, but never before it was asked for', async () => {
  const { readAll, asked, answer } = createReads()
  const read = createGather(readAll, 100)
  const early = read(2)
  const late = [read(2), read(2)]
  await answer()
  await early
  expect(asked).toEqual([[2], [2]])
  await answer()
  expect(await Promise.all(late)).toEqual([
    { id: 2, name: 'thing 2' },
    { id: 2, name: 'thing 2' },
  ])
})

test('no more are read at once than may be', async () => {
  const { readAll, asked, answer } = createReads()
  const read = createGather(readAll, 3)
  const all = Array.from({ length: 9 }, (_, i) => read(i * 2))
  for (let i = 0; i < 4; i++) await answer()
  expect((await Promise.all(all)).map((thing) => thing?.id)).toEqual([0, 2, 4, 6, 8, 10, 12, 14, 16])
  expect(asked).toEqual([[0], [2, 4, 6], [8, 10, 12], [14, 16]])
})

test('a read that fails is a failure for all who waited for it, and for nobody after them', async () => {
  const { readAll, asked, answer, fail } = createReads()
  const read = createGather(readAll, 100)
  const first = read(2)
  const failing = [read(4), read(4), read(6)].map((thing) => expect(thing).rejects.toThrow('away'))
  await answer()
  await first
  const later = read(8)
  await fail()
  await Promise.all(failing)
  expect(asked).toEqual([[2], [4, 6], [8]])
  await answer()
  expect(await later).toMatchObject({ id: 8 })
  const again = read(4)
  await answer()
  expect(await again).toMatchObject({ id: 4 })
})
