/** A connection that is reset closes, whatever was under way. */
import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { reset } from './reset.ts'

const server = net.createServer((far) => far.on('error', () => {}).resume())

beforeAll(async () => {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})
afterAll(() => new Promise((resolve) => server.close(resolve)))

test.each([
  ['that is idle', async () => {}],
  ['whose end is under way', async (socket: net.Socket) => void socket.end('the last word')],
  [
    'whose end has left',
    async (socket: net.Socket) => {
      socket.end('the last word')
      await once(socket, 'finish')
    },
  ],
])('a connection %s closes', async (_, prepare) => {
  const socket = net.connect((server.address() as AddressInfo).port, '127.0.0.1')
  await once(socket, 'connect')
  await prepare(socket)
  const closed = once(socket, 'close')
  reset(socket)
  await closed
  expect(socket.destroyed).toBe(true)
})
