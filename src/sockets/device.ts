/**
 * The device socket (PROTOCOL.md section 2): frames in and frames out. Who may come in, what becomes of a frame and when it
 * is acknowledged, others decide.
 */
import type { Access } from '../access/access.ts'
import type { Clock } from '../clock.ts'
import { windowPoints } from '../core/credit.ts'
import type { Ingest } from '../ingest/ingest.ts'
import type { Inlet } from '../ingest/intake.ts'
import type { Ops } from '../ops/ops.ts'
import { CLOSE, type Close } from '../protocol/closes.ts'
import { decodeDeviceFrame } from '../protocol/decode.ts'
import { encodeDeviceWelcome, encodeGoaway, encodePong } from '../protocol/encode.ts'
import { ROUTE, SUBPROTOCOL, TYPE } from '../protocol/messages.ts'
import { DeviceSource } from './deviceSource.ts'
import type { Peer } from './peer.ts'
import type { SocketRoute } from './server.ts'

export interface DeviceSocketOptions {
  limits: {
    devicesMax: number
    deviceFrameBytesMax: number
    batchPointsMax: number
    heartbeatS: number
    reconnectSpreadMs: number
  }
  ops: Ops
  clock: Pick<Clock, 'now'>
  access: Pick<Access, 'admission' | 'helloDeadlines'>
  ingest: Pick<Ingest, 'intake' | 'enter' | 'gone' | 'tellRate'>
}

/** An ACK that does not fit into so much means that the device does not read. */
const BUFFER_BYTES_MAX = 256 * 1024

export type DeviceSocket = ReturnType<typeof createDeviceSocket>

export function createDeviceSocket({ limits, ops, clock, access, ingest }: DeviceSocketOptions) {
  const { intake } = ingest
  const links = new Set<DeviceSource>()
  return {
    route,
    goaway,
    closeAll,
    get count() {
      return links.size
    },
    gauges: () => ({ devices: links.size }),
  }

  function route(): SocketRoute<DeviceSource> {
    return {
      path: ROUTE.device,
      subprotocol: SUBPROTOCOL.device,
      checksOrigin: false,
      frameBytesMax: limits.deviceFrameBytesMax,
      bufferBytesMax: BUFFER_BYTES_MAX,
      hasRoom: () => links.size < limits.devicesMax,
      open,
      message,
      close,
    }
  }

  function open(peer: Peer): DeviceSource {
    const link = new DeviceSource(peer, access.helloDeadlines.await(peer))
    links.add(link)
    return link
  }

  function message(link: DeviceSource, bytes: ArrayBuffer): void {
    const frame = decodeDeviceFrame(bytes, limits.batchPointsMax)
    if (frame.type === 'malformed') return malformed(link, frame.message, frame.ref)
    const { inlet } = link
    if (inlet === null) {
      if (frame.type !== TYPE.hello || link.hello.isDone) {
        return malformed(link, 'HELLO comes first, once, and WELCOME before anything else', null)
      }
      link.hello.isDone = true
      return ops.faults.guard(welcome(link, frame.deviceKey), link.peer)
    }
    if (frame.type === TYPE.points) return intake.takePoints(inlet, frame)
    if (frame.type === TYPE.session) return intake.takeOp(inlet, frame)
    if (!intake.takeOther(inlet)) return
    switch (frame.type) {
      case TYPE.ping:
        link.peer.send(encodePong(frame.nonce, clock.now()))
        return
      case TYPE.bye:
        return intake.finish(inlet)
      case TYPE.hello:
        return malformed(link, 'HELLO is sent once', null)
    }
  }

  async function welcome(link: DeviceSource, deviceKey: string): Promise<void> {
    const admitted = await access.admission.admit(deviceKey)
    if ('close' in admitted) return refuse(link, admitted.close)
    const inlet = ingest.enter(link, admitted)
    if ('close' in inlet) return refuse(link, inlet.close)
    link.inlet = inlet
    link.peer.admit()
    sayWelcome(link, inlet)
    ingest.tellRate(inlet)
  }

  function sayWelcome({ peer }: DeviceSource, { device, window }: Inlet): void {
    peer.send(
      encodeDeviceWelcome({
        deviceId: device.id,
        windowPoints: windowPoints(window),
        batchPointsMax: limits.batchPointsMax,
        frameBytesMax: limits.deviceFrameBytesMax,
        serverNowMs: clock.now(),
        heartbeatS: limits.heartbeatS,
      }),
    )
  }

  function refuse({ peer }: DeviceSource, reason: Close): void {
    if (!peer.isOpen) return
    if (reason === CLOSE.refused) {
      ops.counts.helloRefused += 1
      ops.audit.refused('deviceKey', peer.address)
    }
    peer.end(reason)
  }

  function close(link: DeviceSource): void {
    links.delete(link)
    link.hello.isDone = true
    if (link.inlet !== null) ingest.gone(link.inlet)
  }

  function malformed({ peer, inlet }: DeviceSource, text: string, ref: number | null): void {
    ops.counts.framesMalformed += 1
    if (inlet !== null) ops.lastErrors.note(inlet.device.id, `frame not understood: ${text}`)
    peer.malformed(text, ref)
  }

  /** Before the hub stops: no new points, wait for the ACKs or the close (D12). */
  function goaway(): void {
    const frame = encodeGoaway(0, limits.reconnectSpreadMs)
    for (const { peer, inlet } of links) if (inlet !== null) peer.send(frame)
  }

  function closeAll(reason: Close): void {
    for (const { peer } of [...links]) peer.end(reason)
  }
}
