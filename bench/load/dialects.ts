/**
 * What a client of each peer says and understands, down to the bytes: as little as the peer's own protocol allows,
 * framed beforehand where it can be, so that no client library is measured in place of its server.
 */
import { pack, unpack } from 'msgpackr'
import { framed, OPCODE } from './webSocket.ts'

export type DialectName = 'ws' | 'socketio' | 'socketioPacked' | 'mqtt0' | 'mqtt1' | 'nats' | 'jetstream'
export type Role = 'device' | 'viewer'

/** What a reader of a dialect has to tell. */
export interface Ears {
  write: (message: Uint8Array) => void
  /** The client is in, and where it watches, subscribed. */
  ready: () => void
  /** The payload of a message lies in `bytes` from `from` to `to` (exclusive) until the call returns. */
  delivered: (bytes: Buffer, from: number, to: number) => void
  /** So many more messages of a device have been taken, in their order. */
  taken: (count: number) => void
  trouble: (reason: string) => void
}

export interface Reader {
  binary: (bytes: Buffer, from: number, to: number) => void
  text?: (bytes: Buffer, from: number, to: number) => void
}

export interface Dialect {
  subprotocol: string
  path: (role: Role) => string
  /** Whether a sender is told that its message was taken; where not, what its viewer sees tells it. */
  acknowledges: boolean
  /** `place` is the number of the device among all of them. */
  publish: (payload: Uint8Array, seq: number, place: number) => Buffer
  reader: (role: Role, ears: Ears, place: number) => Reader
  /** Whether the upgrade alone lets a client in. */
  isReadyAtOnce: boolean
  /** What a client says first. */
  greeting: () => Buffer | null
}

const TOPIC = 'points'
const SOCKET_IO_PATH = '/socket.io/?EIO=4&transport=websocket'
const SOCKET_IO = { connect: 0, event: 2, ack: 3 } as const
const MQTT = { connack: 2, publish: 3, puback: 4, suback: 9 } as const

export const DIALECTS: Readonly<Record<DialectName, Dialect>> = {
  ws: {
    subprotocol: '',
    path: (role) => `/${role}`,
    acknowledges: false,
    publish: (payload) => framed(payload),
    reader: (_role, { delivered }) => ({ binary: delivered }),
    isReadyAtOnce: true,
    greeting: () => null,
  },
  socketio: {
    subprotocol: '',
    path: () => SOCKET_IO_PATH,
    acknowledges: false,
    publish: (payload) =>
      Buffer.concat([text('451-["point",{"_placeholder":true,"num":0}]'), framed(payload)]),
    reader: readSocketIo,
    isReadyAtOnce: false,
    greeting: () => null,
  },
  socketioPacked: {
    subprotocol: '',
    path: () => SOCKET_IO_PATH,
    acknowledges: false,
    publish: (payload) => packed({ type: SOCKET_IO.event, nsp: '/', data: ['point', payload] }),
    reader: readSocketIoPacked,
    isReadyAtOnce: false,
    greeting: () => null,
  },
  mqtt0: mqtt(0),
  mqtt1: mqtt(1),
  nats: nats((_place) => TOPIC, null),
  jetstream: nats(deviceSubject, (place) => `_INBOX.${place}`),
}

/** Where a device publishes when its messages are kept by device. */
export function deviceSubject(place: number): string {
  return `${TOPIC}.${place}`
}

function text(message: string): Buffer {
  return framed(Buffer.from(message), OPCODE.text)
}

/** Engine.IO 4: a digit for its own packet, and within 4 a digit for Socket.IO's; the point itself comes as binary. */
function readSocketIo(role: Role, { write, ready, delivered, trouble }: Ears): Reader {
  return {
    binary: delivered,
    text: (bytes, from, to) => {
      const kind = bytes.toString('latin1', from, Math.min(to, from + 2))
      if (kind === '45') return
      if (kind[0] === '2') write(text('3'))
      else if (kind[0] === '0') write(text('40'))
      else if (kind === '40' && role === 'viewer') write(text('420["watch"]'))
      else if (kind === '40' || kind === '43') ready()
      else trouble(`Socket.IO says ${bytes.toString('utf8', from, to)}`)
    },
  }
}

/** The same with the msgpack parser: Engine.IO's own packets stay text, each of Socket.IO's is one binary message. */
function readSocketIoPacked(role: Role, { write, ready, delivered, trouble }: Ears): Reader {
  // In the map of an event: the name, then the head of binary data of less than 256 bytes.
  const [marker, binaryHead] = [pack('point'), 2]
  let isIn = false
  return {
    binary: (bytes, from, to) => {
      if (isIn) {
        const at = bytes.indexOf(marker, from) + marker.length + binaryHead
        return delivered(bytes, at, at + bytes[at - 1]!)
      }
      const { type } = unpack(bytes.subarray(from, to)) as { type: number }
      if (type === SOCKET_IO.connect && role === 'viewer') {
        write(packed({ type: SOCKET_IO.event, nsp: '/', id: 0, data: ['watch'] }))
      } else if (type === SOCKET_IO.connect || type === SOCKET_IO.ack) {
        isIn = true
        ready()
      } else trouble(`Socket.IO sends a packet of type ${type}`)
    },
    text: (bytes, from, to) => {
      const kind = bytes.toString('latin1', from, from + 1)
      if (kind === '2') write(text('3'))
      else if (kind === '0') write(packed({ type: SOCKET_IO.connect, nsp: '/' }))
      else trouble(`Socket.IO says ${bytes.toString('utf8', from, to)}`)
    },
  }
}

function packed(packet: object): Buffer {
  return framed(pack(packet))
}

/** MQTT 3.1.1; with QoS 1 every message is acknowledged, by the broker to its sender and by its reader to the broker. */
function mqtt(qos: 0 | 1): Dialect {
  let clients = 0
  return {
    subprotocol: 'mqtt',
    path: () => '/mqtt',
    acknowledges: qos === 1,
    publish: (payload, seq) =>
      mqttPacket((MQTT.publish << 4) | (qos << 1), [
        mqttString(TOPIC),
        ...(qos === 1 ? [int16(((seq - 1) % 0xffff) + 1)] : []),
        payload,
      ]),
    isReadyAtOnce: false,
    greeting: () => {
      clients += 1
      const [protocol, level, cleanSession, noKeepAlive] = [mqttString('MQTT'), 4, 2, int16(0)]
      const id = mqttString(`bench-${process.pid}-${clients}`)
      return mqttPacket(0x10, [protocol, Buffer.from([level, cleanSession]), noKeepAlive, id])
    },
    reader: (role, ears) => ({
      binary: (bytes, from, to) => {
        for (let at = from; at < to; ) at = readMqttPacket(bytes, at, to, role, ears)
      },
    }),
  }

  /** Returns where the next packet begins. */
  function readMqttPacket(bytes: Buffer, start: number, to: number, role: Role, ears: Ears): number {
    let [at, length, shift] = [start + 1, 0, 0]
    do {
      length |= (bytes[at]! & 0x7f) << shift
      shift += 7
    } while (bytes[at++]! >= 0x80)
    if (at + length > to) ears.trouble('an MQTT packet in pieces')
    const kind = bytes[start]! >> 4
    if (kind === MQTT.publish) {
      const idAt = at + 2 + bytes.readUInt16BE(at)
      ears.delivered(bytes, qos === 1 ? idAt + 2 : idAt, at + length)
      if (qos === 1) ears.write(mqttPacket(0x40, [bytes.subarray(idAt, idAt + 2)]))
    } else if (kind === MQTT.puback) ears.taken(1)
    else if (kind === MQTT.connack && bytes[at + 1] !== 0) ears.trouble('MQTT: not let in')
    else if (kind === MQTT.connack && role === 'viewer') {
      ears.write(mqttPacket(0x82, [int16(1), mqttString(TOPIC), Buffer.from([qos])]))
    } else if (kind === MQTT.connack || kind === MQTT.suback) ears.ready()
    return at + length
  }
}

function mqttPacket(head: number, parts: readonly Uint8Array[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  const size = length < 128 ? [length] : [(length & 0x7f) | 0x80, length >> 7]
  return framed(Buffer.concat([Buffer.from([head, ...size]), ...parts]))
}

function mqttString(value: string): Buffer {
  return Buffer.concat([int16(value.length), Buffer.from(value)])
}

function int16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff])
}

/** Publishes to a subject; with an inbox every message is acknowledged to it, by the stream that keeps the subject. */
function nats(subjectOf: (place: number) => string, inboxOf: ((place: number) => string) | null): Dialect {
  return {
    subprotocol: '',
    path: () => '/',
    acknowledges: inboxOf !== null,
    publish: (payload, _seq, place) => {
      const reply = inboxOf === null ? '' : `${inboxOf(place)} `
      const line = `PUB ${subjectOf(place)} ${reply}${payload.length}\r\n`
      return framed(Buffer.concat([Buffer.from(line), payload, Buffer.from('\r\n')]))
    },
    reader: (role, ears, place) => {
      if (role === 'viewer') return readNats(TOPIC, ears)
      return readNats(inboxOf?.(place) ?? null, { ...ears, delivered: (...answer) => taken(ears, ...answer) })
    },
    isReadyAtOnce: false,
    greeting: () => null,
  }

  /** `{"stream":"…","seq":1}`, or an error. */
  function taken({ taken, trouble }: Ears, bytes: Buffer, from: number, to: number): void {
    const answer = bytes.toString('latin1', from, to)
    if (answer.includes('"error"')) trouble(`JetStream says ${answer}`)
    else taken(1)
  }
}

/**
 * NATS is a stream of lines within the messages of the socket, so a line may end in the next one. `subject` is what
 * the client wants to hear, if anything.
 */
function readNats(subject: string | null, { write, ready, delivered, trouble }: Ears): Reader {
  const [LINE_FEED, SPACE, M] = [0x0a, 0x20, 0x4d]
  let rest: Buffer | null = null
  return { binary }

  function binary(chunk: Buffer, from: number, to: number): void {
    const bytes: Buffer = rest === null ? chunk : Buffer.concat([rest, chunk.subarray(from, to)])
    const [start, end] = rest === null ? [from, to] : [0, bytes.length]
    let at = start
    while (at < end) {
      const lineEnd = bytes.indexOf(LINE_FEED, at)
      if (lineEnd === -1 || lineEnd >= end) break
      const next = bytes[at] === M ? lineEnd + 1 + payloadBytes(bytes, lineEnd) + 2 : lineEnd + 1
      if (next > end) break
      if (bytes[at] === M) delivered(bytes, lineEnd + 1, next - 2)
      else say(bytes.toString('latin1', at, lineEnd - 1))
      at = next
    }
    rest = at === end ? null : Buffer.from(bytes.subarray(at, end))
  }

  /** The number at the end of `MSG subject sid bytes`. */
  function payloadBytes(bytes: Buffer, lineEnd: number): number {
    let [length, unit] = [0, 1]
    for (let at = lineEnd - 2; bytes[at] !== SPACE; at--, unit *= 10) length += (bytes[at]! - 0x30) * unit
    return length
  }

  function say(line: string): void {
    if (line.startsWith('INFO')) {
      const watch = subject === null ? '' : `SUB ${subject} 1\r\n`
      write(framed(Buffer.from(`CONNECT {"verbose":false,"pedantic":false}\r\n${watch}PING\r\n`)))
    } else if (line === 'PONG') ready()
    else if (line === 'PING') write(framed(Buffer.from('PONG\r\n')))
    else if (line.startsWith('-ERR')) trouble(`NATS says ${line}`)
  }
}
