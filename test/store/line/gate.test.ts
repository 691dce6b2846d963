/** The queue in front of few connections: so many statements at a time, and the writer's first. */
import { expect, test } from 'vitest'
import { createGate } from '../../../src/store/line/gate.ts'
import type { Result } from '../../../src/store/line/run.ts'

/** A connection whose statements end when the test says so. */
function createRun() {
  const running: { text: string; resolve: (result: Result) => void; reject: (error: Error) => void }[] = []
  const begun: string[] = []
  let mostAtOnce = 0
  return { run, running, begun, finish, fail, atMost: () => mostAtOnce }

  function run(text: string): Promise<Result> {
    begun.push(text)
    return new Promise((resolve, reject) => {
      running.push({ text, resolve, reject })
      mostAtOnce = Math.max(mostAtOnce, running.length)
    })
  }

  async function finish(): Promise<void> {
    const { text, resolve } = running.shift()!
    resolve(Object.assign([{ text }], { count: 1 }))
    await settled()
  }

  async function fail(): Promise<void> {
    running.shift()!.reject(new Error('refused'))
    await settled()
  }
}

/** Everything that was promised by now has had its consequences. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

test.each([1, 3])('statements run %i at a time and in order', async (atOnceMax) => {
  const { run, begun, running, finish, atMost } = createRun()
  const gate = createGate(run, atOnceMax)
  const texts = ['a', 'b', 'c', 'd', 'e', 'f', 'g']
  const answers = texts.map((text) => gate.read(text))
  await settled()
  expect(begun).toEqual(texts.slice(0, atOnceMax))
  await finish()
  expect(begun).toEqual(texts.slice(0, atOnceMax + 1))
  while (running.length > 0) await finish()
  expect((await Promise.all(answers)).map(([row]) => row!.text)).toEqual(texts)
  expect(atMost()).toBe(atOnceMax)
  // The places that were used are free again.
  for (const text of texts) void gate.read(text)
  expect(running).toHaveLength(atOnceMax)
  while (running.length > 0) await finish()
})

test('the writer’s statement goes before all reads that wait, and after the one that runs', async () => {
  const { run, begun, finish, running } = createRun()
  const gate = createGate(run, 1)
  for (const text of ['read 1', 'read 2', 'read 3']) void gate.read(text)
  void gate.write('write 1')
  await finish()
  void gate.write('write 2')
  expect(begun).toEqual(['read 1', 'write 1'])
  while (running.length > 0) await finish()
  expect(begun).toEqual(['read 1', 'write 1', 'write 2', 'read 2', 'read 3'])
})

test('reads have their turn, however much there is to write', async () => {
  const { run, begun, running, finish } = createRun()
  const gate = createGate(run, 1)
  void gate.read('first')
  for (const text of ['read 1', 'read 2']) void gate.read(text)
  // A writer that asks for the next statement as soon as one has ended.
  let writes = 0
  const write = (): void => {
    writes += 1
    if (writes <= 40) void gate.write(`write ${writes}`).then(write)
  }
  for (let lane = 0; lane < 2; lane++) write()
  while (!begun.includes('read 2') && running.length > 0) await finish()
  expect(begun).toContain('read 2')
  expect(begun.indexOf('read 1')).toBeLessThan(begun.indexOf('read 2'))
  expect(writes).toBeLessThan(40)
  while (running.length > 0) await finish()
})

test('a statement that fails is the failure of its caller alone', async () => {
  const { run, begun, finish, fail } = createRun()
  const gate = createGate(run, 1)
  const failing = expect(gate.write('bad')).rejects.toThrow('refused')
  const next = gate.read('next')
  await fail()
  await failing
  expect(begun).toEqual(['bad', 'next'])
  await finish()
  expect([...(await next)]).toEqual([{ text: 'next' }])
  const later = gate.read('later')
  await settled()
  await finish()
  expect([...(await later)]).toEqual([{ text: 'later' }])
})

test('a statement that comes at the moment another ends waits for those before it', async () => {
  const { run, begun, running, finish, atMost } = createRun()
  const gate = createGate(run, 1)
  const first = gate.read('first').then(() => void gate.read('afterwards'))
  void gate.read('second')
  await finish()
  await first
  while (running.length > 0) await finish()
  expect(begun).toEqual(['first', 'second', 'afterwards'])
  expect(atMost()).toBe(1)
})

test('parameters and answers pass unchanged', async () => {
  const result = Object.assign([{ a: 1 }], { count: 7 })
  const seen: unknown[] = []
  const gate = createGate(async (...statement) => {
    seen.push(statement)
    return result
  }, 1)
  expect(await gate.read('read', [1, null, 'x'])).toBe(result)
  expect(await gate.write('write')).toBe(result)
  expect(seen).toEqual([
    ['read', [1, null, 'x']],
    ['write', undefined],
  ])
})
