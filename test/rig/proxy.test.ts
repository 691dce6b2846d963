/** The proxy is only of use if it breaks exactly what it is told to break, and says so. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type FaultProxy, type Line, startProxy } from './proxy.ts'
import { until } from './until.ts'

let target: Server
let atTarget: Peer[]
let proxy: FaultProxy

interface Peer {
  socket: Socket
  heard: () => string
  /** How the connection ended on this side, as far as it did. */
  ended: () => 'fin' | 'rst' | null
}

beforeEach(async () => {
  atTarget = []
  target = createServer((socket) => atTarget.push(peer(socket)))
  target.listen(0, '127.0.0.1')
  await once(target, 'listening')
  proxy = await startProxy({ host: '127.0.0.1', port: (target.address() as AddressInfo).port })
})

afterEach(async () => {
  await proxy.close()
  target.close()
})

function peer(socket: Socket): Peer {
  let text = ''
  let end: 'fin' | 'rst' | null = null
  socket.on('data', (chunk) => {
    text += chunk.toString()
  })
  socket.on('end', () => {
    end ??= 'fin'
  })
  socket.on('error', () => {
    end = 'rst'
  })
  return { socket, heard: () => text, ended: () => end }
}

/** A connection through the proxy: its near end and its far end. */
async function connected(): Promise<[Peer, Peer]> {
  const before = atTarget.length
  const near = peer(connect(proxy.port, proxy.host))
  await until(() => near.socket.readyState === 'open', 'the near end is connected')
  await until(() => atTarget.length > before, 'the far end is connected')
  return [near, atTarget[before]!]
}

/** Each end says something, and the other hears it. */
async function expectTalk(near: Peer, far: Peer): Promise<void> {
  const [before, beforeFar] = [near.heard(), far.heard()]
  near.socket.write('question')
  await until(() => far.heard() === `${beforeFar}question`, 'the far end hears the question')
  far.socket.write('answer')
  await until(() => near.heard() === `${before}answer`, 'the near end hears the answer')
}

describe('a connection through the proxy', () => {
  test('carries both directions and ends as either side ends it', async () => {
    const [near, far] = await connected()
    await expectTalk(near, far)
    expect([...proxy.connections]).toMatchObject([
      { number: 1, arrived: { up: 8, down: 6 }, forwarded: { up: 8, down: 6 } },
    ])
    near.socket.end()
    await until(() => far.ended() === 'fin', 'the far end is told')
    await until(() => proxy.connections.size === 0, 'the proxy forgets the connection')
  })

  test('passes a reset on as a reset', async () => {
    const [near, far] = await connected()
    far.socket.resetAndDestroy()
    await until(() => near.ended() === 'rst', 'the near end is reset')
  })

  test('carries more than fits into any buffer', async () => {
    const [near, far] = await connected()
    const text = 'x'.repeat(8 * 1024 * 1024)
    near.socket.write(text)
    await until(() => far.heard().length === text.length, 'all of it arrives')
  })
})

describe('cut', () => {
  test.each(['fin', 'rst'] as const)('with %s ends both ends of every connection that way', async (kind) => {
    const both = [await connected(), await connected()].flat()
    expect(proxy.cut(kind)).toBe(2)
    for (const end of both) await until(() => end.ended() === kind, `an end is ended by ${kind}`)
    expect(proxy.counts.cut).toBe(2)
    expect(proxy.connections.size).toBe(0)
    await expectTalk(...(await connected()))
  })

  test('with fin ends in peace even when bytes are on their way', async () => {
    const [near, far] = await connected()
    proxy.hook(() => 'fin')
    near.socket.write('never heard')
    await until(() => near.ended() === 'fin' && far.ended() === 'fin', 'both ends are ended in peace')
    expect(far.heard()).toBe('')
  })
})

describe('freeze', () => {
  test('lets nothing pass and tells nobody, until thaw lets all of it pass in order', async () => {
    const [near, far] = await connected()
    await expectTalk(near, far)
    proxy.freeze()
    near.socket.write('one ')
    far.socket.write('two ')
    await until(() => proxy.counts.heldBytes === 8, 'the black hole has swallowed both')
    near.socket.write('three')
    near.socket.end()
    await until(() => proxy.counts.heldBytes === 13, 'and the rest')
    expect([far.heard(), near.heard(), far.ended(), near.ended()]).toEqual(['question', 'answer', null, null])

    proxy.thaw()
    await until(() => far.ended() === 'fin', 'the end arrives')
    expect(far.heard()).toBe('questionone three')
    await until(() => near.heard() === 'answertwo ', 'the other direction arrives')
  })

  test('holds new connections as well, which are accepted and hear nothing', async () => {
    proxy.freeze()
    const [near, far] = await connected()
    near.socket.write('hello')
    await until(() => proxy.counts.heldBytes === 5, 'the black hole has swallowed it')
    expect(far.heard()).toBe('')
    proxy.thaw()
    await until(() => far.heard() === 'hello', 'it arrives')
  })

  test('keeps a bounded part of what a stubborn sender sends, and loses none of it', async () => {
    const [near, far] = await connected()
    proxy.freeze()
    const text = 'x'.repeat(32 * 1024 * 1024)
    near.socket.write(text)
    await until(() => proxy.counts.heldBytes > 1024 * 1024, 'the proxy holds what it may hold')
    proxy.thaw()
    await until(() => far.heard().length === text.length, 'all of it arrives')
    expect(proxy.counts.heldBytes).toBeLessThan(2 * 1024 * 1024)
  })
})

describe('refuse', () => {
  test('turns new connections away and keeps the old ones, until accept', async () => {
    const [near, far] = await connected()
    await proxy.refuse()
    const late = connect(proxy.port, proxy.host)
    const [fault] = await once(late, 'error')
    expect(fault).toMatchObject({ code: 'ECONNREFUSED' })
    await expectTalk(near, far)
    await proxy.accept()
    await expectTalk(...(await connected()))
    expect(proxy.counts.accepted).toBe(2)
  })
})

describe('a hook on the data', () => {
  test('may hold a connection at an exact moment, and other connections go on', async () => {
    const held = await connected()
    const other = await connected()
    proxy.hook((direction, chunk) => (direction === 'up' && chunk.includes('COMMIT') ? 'hold' : undefined))
    held[0].socket.write('COMMIT')
    await until(() => proxy.counts.frozen === 1, 'the moment came')
    await expectTalk(...other)
    expect(held[1].heard()).toBe('')
    proxy.thaw()
    await until(() => held[1].heard() === 'COMMIT', 'it arrives')
  })

  test('may let a part of a chunk pass before the connection is cut', async () => {
    const [near, far] = await connected()
    proxy.hook(() => ({ forwardBytes: 4, afterwards: 'fin' }))
    near.socket.write('torn apart')
    await until(() => far.ended() === 'fin', 'the far end is ended')
    expect(far.heard()).toBe('torn')
  })

  test('may let a part of a chunk pass before the rest is held', async () => {
    const [near, far] = await connected()
    proxy.hook(() => ({ forwardBytes: 4, afterwards: 'hold' }))
    near.socket.write('torn apart')
    await until(() => far.heard() === 'torn', 'the first part arrives')
    expect(proxy.counts).toMatchObject({ frozen: 1, heldBytes: 6 })
    proxy.hook(null)
    proxy.thaw()
    await until(() => far.heard() === 'torn apart', 'the rest arrives')
  })

  test('may drop a chunk', async () => {
    const [near, far] = await connected()
    proxy.hook((_direction, chunk) => (chunk.toString() === 'lost' ? 'drop' : undefined))
    near.socket.write('lost')
    await until(() => proxy.counts.droppedBytes === 4, 'it is dropped')
    await expectTalk(near, far)
  })

  test('may answer a question by a reset', async () => {
    const [near, far] = await connected()
    proxy.hook((direction) => (direction === 'down' ? 'rst' : undefined))
    near.socket.write('question')
    await until(() => far.heard() === 'question', 'the question arrives')
    far.socket.write('answer')
    await until(() => near.ended() === 'rst', 'the near end is reset')
    expect(near.heard()).toBe('')
  })
})

test('a delay keeps the order', async () => {
  const [near, far] = await connected()
  proxy.delay(40)
  near.socket.write('slow ')
  await until(() => [...proxy.connections][0]!.arrived.up === 5, 'it has arrived at the proxy')
  proxy.delay(0)
  near.socket.write('fast')
  await until(() => far.heard() === 'slow fast', 'both arrive')
})

describe('a line', () => {
  test('with jitter is late by another time for each chunk, and keeps their order', async () => {
    await proxy.close()
    const chances = [0.9, 0, 0.5]
    let asked = 0
    const port = (target.address() as AddressInfo).port
    proxy = await startProxy({ host: '127.0.0.1', port }, { random: () => chances[asked++ % 3]! })
    const [near, far] = await connected()
    proxy.line({ delayMs: 10, jitterMs: 60 }, 'up')
    const startedMs = performance.now()
    for (const [i, word] of ['a', 'b', 'c'].entries()) {
      near.socket.write(word)
      await until(() => [...proxy.connections][0]!.arrived.up === i + 1, 'it has arrived at the proxy')
    }
    await until(() => far.heard() === 'abc', 'all arrive in order')
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(10 + 0.9 * 60 - 1)
    expect(asked).toBeGreaterThanOrEqual(3)
  })

  test('that is narrow passes no more than it can, one way only', async () => {
    const [near, far] = await connected()
    proxy.line({ bytesPerS: 1_000 }, 'up')
    const startedMs = performance.now()
    near.socket.write('x'.repeat(3_000))
    far.socket.write('y'.repeat(200_000))
    await until(() => near.heard().length === 200_000, 'the wide way is through')
    expect(far.heard().length).toBeLessThan(3_000)
    await until(() => far.heard().length === 3_000, 'the narrow way is through')
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(2_999)
  })

  test('may turn narrow at an exact byte, of one connection and one way', async () => {
    const [near, far] = await connected()
    const other = await connected()
    // So narrow that nothing gets through while this test runs.
    const narrow = { bytesPerS: 1e-3 }
    proxy.hook((direction, _chunk, { number }) =>
      direction === 'up' && number === 1 ? { forwardBytes: 4, afterwards: narrow } : undefined,
    )
    near.socket.write('torn apart')
    await until(() => far.heard() === 'torn', 'what comes before that byte arrives')
    await expectTalk(...other)
    far.socket.write('answer')
    await until(() => near.heard() === 'answer', 'the other way is as it was')
    expect(far.heard()).toBe('torn')
    expect([...proxy.connections][0]).toMatchObject({ arrived: { up: 10 }, forwarded: { up: 4 } })
  })

  test('may turn into single bytes, or late, after what was said', async () => {
    const [near, far] = await connected()
    const turns: Line[] = [{ sliceBytes: 1 }, { delayMs: 40 }]
    proxy.hook((direction, chunk) =>
      direction === 'up' && chunk.includes('HELLO')
        ? { forwardBytes: chunk.indexOf('HELLO') + 5, afterwards: turns.shift()! }
        : undefined,
    )
    near.socket.write('so HELLO all')
    await until(() => far.heard() === 'so HELLO all', 'all of it arrives')
    expect(proxy.counts.pieces).toBe(1 + ' all'.length)
    near.socket.write('HELLO')
    await until(() => far.heard().endsWith('allHELLO'), 'the message arrives')
    const startedMs = performance.now()
    near.socket.write(' late')
    await until(() => far.heard().endsWith('late'), 'the rest arrives')
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(39)
    proxy.hook(null)
    proxy.line({})
    near.socket.write(' in one')
    await until(() => far.heard().endsWith(' in one'), 'and is one piece again')
    expect(proxy.counts.pieces).toBe(1 + ' all'.length + 'HELLO'.length + 2)
  })

  test('may pass single bytes, one way only', async () => {
    const [near, far] = await connected()
    proxy.line({ sliceBytes: 1 }, 'up')
    near.socket.write('question')
    await until(() => far.heard() === 'question', 'the question arrives')
    expect(proxy.counts.pieces).toBe(8)
    far.socket.write('answer')
    await until(() => near.heard() === 'answer', 'the answer arrives')
    expect(proxy.counts.pieces).toBe(9)
    proxy.line({ sliceBytes: 3 }, 'up')
    near.socket.write('question')
    await until(() => far.heard() === 'questionquestion', 'the question arrives')
    expect(proxy.counts.pieces).toBe(12)
  })
})

describe('a connection that is half open', () => {
  test.each(['up', 'down'] as const)('passes nothing %s, and everything the other way', async (direction) => {
    const [near, far] = await connected()
    await expectTalk(near, far)
    proxy.freeze(direction)
    const [deaf, heard] = direction === 'up' ? [far, near] : [near, far]
    deaf.socket.write('!')
    await until(() => heard.heard().endsWith('!'), 'the way that is open')
    heard.socket.write('?')
    await until(() => proxy.counts.heldBytes === 1, 'the other has swallowed it')
    expect(deaf.heard()).not.toContain('?')
    proxy.thaw()
    await until(() => deaf.heard().endsWith('?'), 'it arrives')
  })

  test('may become so at an exact byte', async () => {
    const [near, far] = await connected()
    proxy.hook((direction) => (direction === 'up' ? { forwardBytes: 4, afterwards: 'hold-up' } : undefined))
    near.socket.write('torn apart')
    await until(() => far.heard() === 'torn', 'the first part arrives')
    far.socket.write('answer')
    await until(() => near.heard() === 'answer', 'the other way is open')
    expect(proxy.counts).toMatchObject({ frozen: 1, heldBytes: 6 })
  })

  test('may become so because of what is said the other way', async () => {
    const [near, far] = await connected()
    proxy.hook((direction) => (direction === 'up' ? 'hold-down' : undefined))
    near.socket.write('question')
    await until(() => far.heard() === 'question', 'the question arrives')
    far.socket.write('answer')
    await until(() => proxy.counts.heldBytes === 6, 'the answer does not')
    expect(near.heard()).toBe('')
  })
})

test('a target that is not there is counted and ends the connection', async () => {
  target.close()
  const near = peer(connect(proxy.port, proxy.host))
  await until(() => near.ended() !== null, 'the connection ends')
  expect(proxy.counts).toMatchObject({ accepted: 1, targetFailed: 1 })
})

test('a target may be a Unix socket', async () => {
  const path = `/tmp/alzy-proxy-${process.pid}.sock`
  const local = createServer((socket) => socket.write('from the socket')).listen(path)
  await once(local, 'listening')
  const toPath = await startProxy({ path })
  const near = peer(connect(toPath.port, toPath.host))
  await until(() => near.heard() === 'from the socket', 'the answer arrives')
  toPath.cut('rst')
  await until(() => near.ended() === 'rst', 'the near end is reset')
  await toPath.close()
  local.close()
})
