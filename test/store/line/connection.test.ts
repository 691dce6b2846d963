/** A connection that never hangs, and errors that tell what went wrong and nothing of what was in the statement. */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { blame, codeOf, describeError } from '../../../src/core/blame.ts'
import { type Connection, connectDatabase } from '../../../src/store/line/connection.ts'
import type { Parameter } from '../../../src/store/line/run.ts'
import { type FaultProxy, startProxy } from '../../rig/proxy.ts'
import { sharedPostgres } from '../../rig/sharedPostgres.ts'
import { until } from '../../rig/until.ts'
import { describeOnPostgres, urlAt } from '../onPostgres.ts'

const SECRET = '48.1234567'
const SECRET_E7 = 481_234_567

describeOnPostgres('a connection', (on) => {
  let proxy: FaultProxy
  const opened: Connection[] = []
  const notices: string[] = []

  beforeAll(async () => {
    proxy = await startProxy({ host: '127.0.0.1', port: (await sharedPostgres()).port })
    await on.outsider.runScript(`
      create type colour as enum ('red');
      create table places (id int primary key, lat numeric(9,7) check (lat < 50), lng int not null, other int references places);
      insert into places values (${SECRET_E7}, 1, 1)`)
  })

  afterEach(async () => {
    proxy.thaw()
    for (const connection of opened.splice(0)) await connection.close()
  })

  afterAll(() => proxy?.close())

  function open(options: { url?: string; timeoutMs?: number; connections?: number } = {}): Connection {
    const { url = on.database.url, timeoutMs = 10_000, connections = 1 } = options
    const onNotice = (message: string) => notices.push(message)
    const connection = connectDatabase({ url }, { name: 'tested', connections, timeoutMs, onNotice })
    opened.push(connection)
    return connection
  }

  const faulty: [string, string, Parameter[], string][] = [
    ['an array that cannot be read', 'select $1::int[]', [`{${SECRET},x}`], '22P02'],
    ['an array that is none', 'select $1::float8[]', [`{${SECRET}`], '22P02'],
    ['a number that is none', 'select $1::int', [SECRET], '22P02'],
    ['a number that is too large', 'select $1::int', [`${SECRET_E7}000`], '22003'],
    ['a word that is not of the type', 'select $1::colour', [SECRET], '22P02'],
    ['a row that a check refuses', `insert into places values (2, $1, 1)`, ['60.1234567'], '23514'],
    ['a row without a value', `insert into places values (2, $1, null)`, [SECRET], '23502'],
    ['a row that is there already', 'insert into places values ($1, 1, 1)', [SECRET_E7], '23505'],
    ['a row that refers to nothing', `insert into places values (2, 1, 1, $1)`, [SECRET_E7 + 1], '23503'],
    ['a column that is not there', 'select nowhere from places where lat = $1', [SECRET], '42703'],
  ]
  test.each(faulty)(
    'says of %s what is wrong, and nothing of the parameters',
    async (_, text, given, code) => {
      const fault = await open()
        .run(text, given)
        .catch((error) => error)
      const said = describeError(fault)
      expect(said.code).toBe(code)
      expect(said.message).not.toBe('')
      expect(JSON.stringify(said)).not.toMatch(/48\.?1234567|48\.?1234568|60\.?1234567/)
    },
  )

  test('says something of anything that was thrown', () => {
    expect(describeError(new Error('x'))).toEqual({ message: 'x' })
    expect(describeError(Object.assign(new Error('x'), { code: 7 }))).toEqual({ message: 'x' })
    expect(describeError('text')).toEqual({ message: 'unknown error' })
    expect([codeOf(null), codeOf(undefined), codeOf({ code: '42P01' })]).toEqual([
      undefined,
      undefined,
      '42P01',
    ])
  })

  test('says who it is, speaks UTC, and bounds its statements on the server below its own patience', async () => {
    const [row] = await open({ timeoutMs: 10_000 }).run(
      `select current_setting('application_name') as name, current_setting('TimeZone') as zone,
              current_setting('statement_timeout') as statement, current_setting('lock_timeout') as lock`,
    )
    expect(row).toEqual({ name: 'tested', zone: 'UTC', statement: '8s', lock: '4s' })
  })

  test('runs several statements as one: all of them or none', async () => {
    const connection = open()
    await connection.runScript('create table a (x int); insert into a values (1)')
    await expect(connection.runScript('insert into a values (2); select 1 / 0')).rejects.toMatchObject({
      code: '22012',
    })
    expect(await connection.run('select x from a')).toEqual([{ x: 1 }])
  })

  test('hands notices on', async () => {
    await open().runScript(`do $$ begin raise notice 'mind the gap'; end $$`)
    expect(notices).toContain('mind the gap')
  })

  test('counts the rows that a statement changed', async () => {
    const connection = open()
    const { count } = await connection.run('create temporary table b as select generate_series(1, 7)')
    expect(count).toBe(7)
    expect((await connection.run('delete from b where generate_series > $1::int', [2])).count).toBe(5)
  })

  test('keeps the parameters of no statement that has been answered', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as (options?: { type: 'minor' }) => void
    const oldBytes = () =>
      getHeapSpaceStatistics().find(({ space_name }) => space_name === 'old_space')!.space_used_size
    const connection = open()
    const parameterBytes = 16_000
    const statements = 200
    collect()
    const before = oldBytes()
    for (let i = 0; i < statements; i++) {
      await connection.run('select length($1::text)', [Buffer.alloc(parameterBytes, 97).toString('latin1')])
    }
    // What is kept by anything is old after the second.
    for (const _ of [1, 2]) collect({ type: 'minor' })
    expect(oldBytes() - before).toBeLessThan((statements * parameterBytes) / 4)
  })

  test.each(['fin', 'rst'] as const)('serves what is begun at the moment of a %s', async (kind) => {
    const connection = open({ url: urlAt(on.database.url, proxy.port), timeoutMs: 5_000 })
    await connection.run('select 1')
    const cutOff = connection.run(`select pg_sleep(60) as ${kind}`)
    const sleeping = `select from pg_stat_activity where wait_event = 'PgSleep' and query like '% as ${kind}'`
    await until(async () => (await on.outsider.run(sleeping)).length > 0, 'it sleeps')
    const next = cutOff.catch((fault) => {
      expect(blame(codeOf(fault))).toBe('database')
      return connection.run('select 7 as x')
    })
    expect(proxy.cut(kind)).toBeGreaterThan(0)
    expect(await next).toEqual([{ x: 7 }])
  })

  test.each(['fin', 'rst'] as const)('gives each statement its own answer after a %s', async (kind) => {
    const connection = open({ url: urlAt(on.database.url, proxy.port), timeoutMs: 10_000 })
    const ask = (x: number): Promise<unknown> =>
      connection.run('select $1::int as x', [x]).then(([row]) => row)
    for (let round = 0; round < 10; round++) {
      await until(() => ask(-1), 'the connection is back')
      const { cut } = proxy.counts
      // Some are on their way when the line breaks, and each that fails is asked again at that very moment.
      const again = (x: number): Promise<unknown> => ask(x).catch(() => ask(x + 100).catch(() => null))
      const answers = Array.from({ length: 5 }, (_, x) => again(x))
      proxy.cut(kind)
      expect(proxy.counts.cut).toBe(cut + 1)
      for (const [x, answer] of (await Promise.all(answers)).entries()) {
        expect([null, { x }, { x: x + 100 }]).toContainEqual(answer)
      }
      expect(await until(() => ask(round), 'the connection is back')).toEqual({ x: round })
    }
  })

  test('loses nothing of its other statements when one of its sockets is reset', async () => {
    const connection = open({ url: urlAt(on.database.url, proxy.port), timeoutMs: 10_000, connections: 2 })
    await Promise.all([1, 2].map(() => connection.run('select pg_sleep(0.1)')))
    expect(proxy.connections.size).toBe(2)
    const [cutOff, other] = [1, 2].map((x) => connection.run('select pg_sleep(0.5), $1::int as x', [x]))
    const [first] = proxy.connections
    const seen = cutOff!.catch((fault) => blame(codeOf(fault)))
    first!.cut('rst')
    const answers = await Promise.all([seen, other!.catch((fault) => blame(codeOf(fault)))])
    expect(answers).toContain('database')
    expect(answers.filter((answer) => answer !== 'database')).toHaveLength(1)
  })

  describe('to a server that does not answer', () => {
    test('fails each statement in time, with an outcome that nobody knows, and goes on afterwards', async () => {
      const connection = open({ url: urlAt(on.database.url, proxy.port), timeoutMs: 500, connections: 2 })
      await connection.run('select 1')
      proxy.freeze()
      const codes = await Promise.all(
        Array.from({ length: 6 }, () => connection.run('select 1').catch((error) => codeOf(error))),
      )
      expect(codes).toContain('WATCHDOG')
      for (const code of codes) expect([code, blame(code as string)]).toEqual([code, 'database'])
      expect(proxy.counts.heldBytes).toBeGreaterThan(0)
      proxy.thaw()
      expect(await until(() => connection.run('select 7 as x'), 'the connection is back')).toEqual([{ x: 7 }])
    })

    test('fails a statement whose connection is never completed', async () => {
      proxy.freeze()
      const connection = open({ url: urlAt(on.database.url, proxy.port), timeoutMs: 500 })
      const accepted = proxy.counts.accepted
      await expect(connection.run('select 1')).rejects.toMatchObject({ code: 'WATCHDOG' })
      expect(proxy.counts.accepted).toBeGreaterThan(accepted)
    })

    test('lets go of the socket of a statement that it gave up', async () => {
      const left: Socket[] = []
      let resets = 0
      const silent = createServer({ allowHalfOpen: true }, (socket) => {
        // Welcomes whoever comes, and answers nothing else.
        socket.once('data', () => socket.write('R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I', 'latin1'))
        socket.on('data', () => {})
        socket.on('end', () => left.push(socket))
        socket.on('error', () => {
          resets += 1
        })
      }).listen(0, '127.0.0.1')
      await once(silent, 'listening')
      const { port } = silent.address() as AddressInfo
      const connection = open({ url: urlAt(on.database.url, port), timeoutMs: 300 })
      await expect(connection.run('select 1')).rejects.toMatchObject({ code: 'WATCHDOG' })
      // Whoever has only said goodbye still listens; whoever has let go answers with a reset.
      await until(() => {
        for (const socket of left) socket.write('anybody there?')
        return resets === 1
      }, 'the server finds nobody there')
      silent.close()
    })

    test('can be closed', async () => {
      const connection = open({ url: urlAt(on.database.url, proxy.port), timeoutMs: 60_000 })
      await connection.run('select 1')
      proxy.freeze()
      const failing = expect(connection.run('select 1')).rejects.toBeInstanceOf(Error)
      await until(() => proxy.counts.heldBytes > 0, 'the statement is on its way')
      await connection.close()
      await failing
    })
  })

  test('tries the other hosts of its address when one of them is down', async () => {
    const { port } = await sharedPostgres()
    await proxy.refuse()
    const url = on.database.url.replace(`127.0.0.1:${port}`, `127.0.0.1:${proxy.port},127.0.0.1:${port}`)
    expect(url).not.toBe(on.database.url)
    const connection = open({ url })
    expect(await until(() => connection.run('select 7 as x'), 'a host answers')).toEqual([{ x: 7 }])
    await proxy.accept()
  })
})
