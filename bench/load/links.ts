/**
 * One device's or one viewer's connection as the benchmarks use it: in by HELLO, and then as little as the protocol
 * allows.
 */
import { readToDevice, readToViewer } from '../../src/client/frames.ts'
import { pack } from '../../src/protocol/encode.ts'
import { ROUTE, SUBPROTOCOL, TYPE } from '../../src/protocol/messages.ts'
import { type BenchSocket, framed, openSocket } from './webSocket.ts'

export interface DeviceLink extends BenchSocket {
  deviceId: number
  windowPoints: number
}

export interface DeviceLinkOptions {
  port: number
  deviceKey: string
  /** Everything up to this seq is acknowledged. */
  onAck: (seq: number) => void
  /** The hub does not take what it is sent as a healthy hub would: nothing can be measured. */
  onTrouble: (reason: string) => void
}

/** Resolves with WELCOME. */
export async function openDeviceLink(options: DeviceLinkOptions): Promise<DeviceLink> {
  const { port, deviceKey, onAck, onTrouble } = options
  let welcomed: (facts: { deviceId: number; windowPoints: number }) => void = () => {}
  let refused: (fault: Error) => void = () => {}
  const welcome = new Promise<{ deviceId: number; windowPoints: number }>((resolve, reject) => {
    welcomed = resolve
    refused = reject
  })
  const socket = await openSocket({
    port,
    path: ROUTE.device,
    subprotocol: SUBPROTOCOL.device,
    onMessage,
    onLost: (reason) => {
      refused(new Error(`a device: ${reason}`))
      onTrouble(`a device: ${reason}`)
    },
  })
  socket.write(framed(pack([TYPE.hello, deviceKey, 'bench', null])))
  return { ...socket, ...(await welcome) }

  function onMessage(bytes: Buffer, from: number, to: number): void {
    const frame = readToDevice(bytes.subarray(from, to))
    if (frame.type === TYPE.welcome) welcomed(frame)
    else if (frame.type === TYPE.pause) onTrouble(`the hub says PAUSE: ${frame.reason}`)
    else if (frame.type === TYPE.error) onTrouble(`the hub says ERROR: ${frame.message}`)
    else if (frame.type === TYPE.ack) {
      if (frame.rejected.length > 0) onTrouble(`the hub rejects points: ${frame.rejected[0]}`)
      onAck(frame.seq)
    }
  }
}

export interface ViewerLinkOptions {
  port: number
  token: string
  /** A LIVE frame lies in `bytes` from `from` to `to` (exclusive) until the call returns. */
  onLive: (bytes: Buffer, from: number, to: number) => void
  onTrouble: (reason: string) => void
}

/** Resolves when the viewer is in the live stream. */
export async function openViewerLink(options: ViewerLinkOptions): Promise<BenchSocket> {
  const { port, token, onLive, onTrouble } = options
  let isLive: () => void = () => {}
  let refused: (fault: Error) => void = () => {}
  const live = new Promise<void>((resolve, reject) => {
    isLive = resolve
    refused = reject
  })
  const socket = await openSocket({
    port,
    path: ROUTE.live,
    subprotocol: SUBPROTOCOL.live,
    onMessage,
    onLost: (reason) => {
      refused(new Error(`a viewer: ${reason}`))
      onTrouble(`a viewer: ${reason}`)
    },
  })
  socket.write(framed(pack([TYPE.hello, token, 'bench', null])))
  await live
  return socket

  function onMessage(bytes: Buffer, from: number, to: number): void {
    // Of the frames of a hub only these are many: an array of up to 15 elements, and the type below 128.
    if (bytes[from + 1] === TYPE.live) return onLive(bytes, from, to)
    const frame = readToViewer(bytes.subarray(from, to))
    if (frame.type === TYPE.welcome) socket.write(framed(pack([TYPE.sub])))
    else if (frame.type === TYPE.tick) socket.write(framed(pack([TYPE.seen, frame.tick])))
    else if (frame.type === TYPE.snap && frame.last) isLive()
  }
}
