/**
 * A download over HTTP/1.1 that is read at whatever pace a test wants, or not to its end. It knows of HTTP just enough
 * to tell a complete answer from one that was broken off.
 */
import { connect, type Socket } from 'node:net'

export type Download = Awaited<ReturnType<typeof startDownload>>

/** Asks, and is gone as soon as the question has left. */
export async function askAndLeave(port: number, place: string, token: string): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  const closed = new Promise((resolve) => socket.once('close', resolve))
  socket.write(question(port, place, { authorization: `Bearer ${token}` }), () => socket.destroy())
  await closed
}

/** Resolves when the first bytes are there. From then on nothing is read until it is told. */
export async function startDownload(
  port: number,
  place: string,
  token: string,
  headers: Readonly<Record<string, string>> = {},
) {
  const socket: Socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  socket.write(question(port, place, { authorization: `Bearer ${token}`, ...headers }))
  let bytes = 0
  let tail = ''
  let isClosed = false
  let wake = () => {}
  socket.once('close', () => {
    isClosed = true
    wake()
  })
  const status = await new Promise<number>((resolve, reject) => {
    socket.once('data', (chunk: Buffer) => {
      socket.pause()
      count(chunk)
      resolve(Number(/^HTTP\/1\.1 (\d+)/.exec(chunk.toString('latin1'))?.[1]))
    })
    socket.once('close', () => reject(new Error('the connection was closed before anything came')))
  })
  socket.on('data', count)
  return {
    status,
    read,
    toEnd,
    leave,
    get bytes() {
      return bytes
    },
    /** The answer is all there. */
    get isComplete() {
      return isComplete()
    },
    get isClosed() {
      return isClosed
    },
  }

  /** Reads so many bytes, or a little more, and stops again. */
  async function read(count: number): Promise<void> {
    const until = bytes + count
    socket.resume()
    while (bytes < until && !isClosed && !isComplete()) {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
    socket.pause()
  }

  /** Reads until the answer is complete or the connection is closed. */
  async function toEnd(): Promise<void> {
    await read(Number.POSITIVE_INFINITY)
    socket.destroy()
  }

  function leave(): void {
    socket.destroy()
  }

  function isComplete(): boolean {
    return tail.endsWith('\r\n0\r\n\r\n')
  }

  function count(chunk: Buffer): void {
    bytes += chunk.length
    tail = (tail + chunk.subarray(-16).toString('latin1')).slice(-16)
    wake()
  }
}

function question(port: number, place: string, headers: Readonly<Record<string, string>>): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return `GET ${place} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${lines.join('')}\r\n`
}
