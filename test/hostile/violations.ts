/**
 * What nobody may send on a TCP connection to a hub, and what comes of it: the status of an HTTP answer, the code of a close
 * frame, or just the end of the connection.
 */
import { upgradeHead, wsFrame } from './rawSocket.ts'

export type Outcome =
  /** An answer over HTTP, of which the connection may well be used further. */
  | { status: number }
  /** It ends, after one of these answers; null: without one. */
  | { end: readonly (number | null)[] }
  /** It ends after an upgrade: with this close code, or `none`. */
  | { close: number | 'none' }
  /** Nothing happens: a ping is answered. */
  | 'lives'

export interface Violation {
  name: string
  /** Instead of a proper upgrade. */
  head?: string
  /** After the upgrade. */
  frames?: Uint8Array
  outcome: Outcome
}

const DEVICE = '/v1/device'
const offer = { subprotocol: 'alzy.device.v1' }
const header = (name: string, value: string | null) =>
  upgradeHead(DEVICE, { ...offer, headers: { [name]: value } })
const join = (...parts: Uint8Array[]) => Buffer.concat(parts)
const empty = new Uint8Array(0)
const OPTIONAL = Uint8Array.of(0x91, 0x70)
const closeFrame = (code: number, text = '') =>
  wsFrame(join(Uint8Array.of(code >> 8, code & 255), Buffer.from(text)), { opcode: 8 })

/** uWebSockets.js says what it does not understand of HTTP itself, and ends the connection. */
const BAD: Outcome = { end: [400] }
const UNKNOWN_VERSION: Outcome = { end: [505] }
/** The answer is lost where the connection is reset because more was still coming. */
const TOO_LARGE: Outcome = { end: [431, null] }
/** It says nothing to these: the connection ends when it has been idle for too long. */
const UNANSWERED: Outcome = { end: [null] }
/** Before anything else is understood, HELLO has to come: a whole message that is not it is 4500. */
const NOT_HELLO: Outcome = { close: 4500 }
/** uWebSockets.js takes every frame for a masked one, so this one never ends: see the deadline of HELLO. */
const NEVER_WHOLE: Outcome = { close: 4408 }
/** A breach of RFC 6455 itself: uWebSockets.js says no more. */
const BREACH: Outcome = { close: 'none' }

export const VIOLATIONS: readonly Violation[] = [
  // Heads
  { name: 'no subprotocol', head: upgradeHead(DEVICE), outcome: { status: 400 } },
  {
    name: 'a wrong subprotocol',
    head: upgradeHead(DEVICE, { subprotocol: 'alzy.live.v1' }),
    outcome: { status: 400 },
  },
  { name: 'an empty subprotocol', head: upgradeHead(DEVICE, { subprotocol: '' }), outcome: { status: 400 } },
  {
    name: 'a subprotocol in other letters',
    head: upgradeHead(DEVICE, { subprotocol: 'ALZY.DEVICE.V1' }),
    outcome: { status: 400 },
  },
  {
    name: 'a subprotocol that ours is a part of',
    head: upgradeHead(DEVICE, { subprotocol: 'alzy.device.v11' }),
    outcome: { status: 400 },
  },
  {
    name: '300 subprotocols',
    head: upgradeHead(DEVICE, { subprotocol: Array(300).fill('x').join(',') }),
    outcome: { status: 400 },
  },
  { name: 'no key', head: header('Sec-WebSocket-Key', null), outcome: { status: 426 } },
  { name: 'a key that is too short', head: header('Sec-WebSocket-Key', 'short'), outcome: { status: 426 } },
  {
    name: 'a key that is too long',
    head: header('Sec-WebSocket-Key', 'A'.repeat(100)),
    outcome: { status: 426 },
  },
  { name: 'an empty key', head: header('Sec-WebSocket-Key', ''), outcome: { status: 426 } },
  { name: 'no version', head: header('Sec-WebSocket-Version', null), outcome: { status: 426 } },
  { name: 'version 8', head: header('Sec-WebSocket-Version', '8'), outcome: { status: 426 } },
  { name: 'version 14', head: header('Sec-WebSocket-Version', '14'), outcome: { status: 426 } },
  { name: 'another protocol to upgrade to', head: header('Upgrade', 'h2c'), outcome: { status: 426 } },
  { name: 'no Upgrade', head: header('Upgrade', null), outcome: { status: 426 } },
  { name: 'POST', head: upgradeHead(DEVICE, { ...offer, method: 'POST' }), outcome: { status: 426 } },
  { name: 'PUT', head: upgradeHead(DEVICE, { ...offer, method: 'PUT' }), outcome: { status: 426 } },
  {
    name: 'an unknown method',
    head: upgradeHead(DEVICE, { ...offer, method: 'BREW' }),
    outcome: { status: 426 },
  },
  {
    name: 'HTTP/1.0',
    head: upgradeHead(DEVICE, { ...offer, version: 'HTTP/1.0' }),
    outcome: UNKNOWN_VERSION,
  },
  {
    name: 'HTTP/2.0',
    head: upgradeHead(DEVICE, { ...offer, version: 'HTTP/2.0' }),
    outcome: UNKNOWN_VERSION,
  },
  { name: 'no version of HTTP', head: `GET ${DEVICE}\r\n\r\n`, outcome: UNKNOWN_VERSION },
  { name: 'no Host', head: header('Host', null), outcome: BAD },
  { name: 'an unknown path', head: upgradeHead('/v1/nowhere', offer), outcome: { status: 404 } },
  { name: 'a path above', head: upgradeHead('/v1/device/../../etc', offer), outcome: { status: 404 } },
  { name: 'a head of 1 MB', head: header('X-Long', 'x'.repeat(1_000_000)), outcome: TOO_LARGE },
  {
    name: 'a head with 300 lines',
    head: upgradeHead(DEVICE, {
      ...offer,
      headers: Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`X-${i}`, 'x'])),
    }),
    outcome: UNANSWERED,
  },
  {
    name: 'a header without a colon',
    head: `GET ${DEVICE} HTTP/1.1\r\nHost hub\r\n\r\n`,
    outcome: UNANSWERED,
  },
  { name: 'a zero in a header', head: header('X-Zero', 'a\0b'), outcome: UNANSWERED },
  {
    name: 'bytes that are no HTTP',
    head: '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n',
    outcome: UNKNOWN_VERSION,
  },
  {
    name: 'an old WebSocket',
    head: header('Sec-WebSocket-Key1', '4 @1  46546xW%0l 1 5').replace(
      /Sec-WebSocket-(Key|Version): .*\r\n/g,
      '',
    ),
    outcome: { status: 426 },
  },
  {
    name: 'another origin at the viewers',
    head: upgradeHead('/v1/live', {
      subprotocol: 'alzy.live.v1',
      headers: { Origin: 'https://elsewhere.example' },
    }),
    outcome: { status: 403 },
  },
  {
    name: 'another origin at the admins',
    head: upgradeHead('/v1/stats', { subprotocol: 'alzy.stats.v1', headers: { Origin: 'null' } }),
    outcome: { status: 403 },
  },
  {
    name: 'two lengths of one body',
    head: `POST /v1/pair HTTP/1.1\r\nHost: hub\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`,
    outcome: BAD,
  },
  {
    name: 'a length that is no number',
    head: `POST /v1/pair HTTP/1.1\r\nHost: hub\r\nContent-Length: x\r\n\r\n`,
    outcome: BAD,
  },

  // Frames
  { name: 'a frame without a mask', frames: wsFrame(OPTIONAL, { isMasked: false }), outcome: NEVER_WHOLE },
  {
    name: 'reserved bit 1, compressed without the extension',
    frames: wsFrame(OPTIONAL, { reserved: 4 }),
    outcome: BREACH,
  },
  { name: 'reserved bit 2', frames: wsFrame(OPTIONAL, { reserved: 2 }), outcome: BREACH },
  { name: 'reserved bit 3', frames: wsFrame(OPTIONAL, { reserved: 1 }), outcome: BREACH },
  ...[3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode) => ({
    name: `opcode ${opcode}`,
    frames: wsFrame(OPTIONAL, { opcode }),
    outcome: BREACH,
  })),
  { name: 'a ping of 126 bytes', frames: wsFrame(new Uint8Array(126), { opcode: 9 }), outcome: BREACH },
  { name: 'a ping in fragments', frames: wsFrame(OPTIONAL, { opcode: 9, isFinal: false }), outcome: BREACH },
  { name: 'a pong in fragments', frames: wsFrame(OPTIONAL, { opcode: 10, isFinal: false }), outcome: BREACH },
  { name: 'a close in fragments', frames: wsFrame(OPTIONAL, { opcode: 8, isFinal: false }), outcome: BREACH },
  { name: 'a continuation of nothing', frames: wsFrame(OPTIONAL, { opcode: 0 }), outcome: BREACH },
  {
    name: 'a continuation of a message that is over',
    frames: join(wsFrame(OPTIONAL), wsFrame(OPTIONAL, { opcode: 0 })),
    outcome: NOT_HELLO,
  },
  {
    name: 'a new message within another',
    frames: join(wsFrame(OPTIONAL, { isFinal: false }), wsFrame(OPTIONAL)),
    outcome: NOT_HELLO,
  },
  { name: 'text', frames: wsFrame('hello', { opcode: 1 }), outcome: NOT_HELLO },
  {
    name: 'text that is not UTF-8',
    frames: wsFrame(Uint8Array.of(0xc3, 0x28), { opcode: 1 }),
    outcome: BREACH,
  },
  { name: 'an empty message', frames: wsFrame(empty), outcome: NOT_HELLO },
  {
    name: 'a length of 16 bits where 7 would do',
    frames: wsFrame(OPTIONAL, { lengthBits: 16 }),
    outcome: NOT_HELLO,
  },
  {
    name: 'a length of 64 bits where 7 would do',
    frames: wsFrame(OPTIONAL, { lengthBits: 64 }),
    outcome: NOT_HELLO,
  },
  {
    name: 'a frame that is larger than allowed',
    frames: wsFrame(empty, { says: 32 * 1024 + 1, lengthBits: 16 }),
    outcome: BREACH,
  },
  {
    name: 'a frame of 2^31 bytes',
    frames: wsFrame(empty, { says: 2 ** 31, lengthBits: 64 }),
    outcome: BREACH,
  },
  {
    name: 'a frame of 2^53 bytes',
    frames: wsFrame(empty, { says: 2 ** 53 - 1, lengthBits: 64 }),
    outcome: BREACH,
  },
  {
    name: 'fragments that are larger than allowed together',
    frames: join(
      wsFrame(new Uint8Array(20_000), { isFinal: false }),
      wsFrame(new Uint8Array(20_000), { opcode: 0 }),
    ),
    outcome: BREACH,
  },
  {
    name: 'a message of 20 000 empty fragments',
    frames: join(
      wsFrame(empty, { isFinal: false }),
      ...Array(20_000).fill(wsFrame(empty, { opcode: 0, isFinal: false })),
      wsFrame(OPTIONAL, { opcode: 0 }),
    ),
    outcome: NOT_HELLO,
  },
  {
    name: 'ten thousand pings',
    frames: join(...Array(10_000).fill(wsFrame('x', { opcode: 9 }))),
    outcome: 'lives',
  },
  { name: 'a pong that nobody asked for', frames: wsFrame('x', { opcode: 10 }), outcome: 'lives' },
  {
    name: 'an array in an array, 30 000 times',
    frames: wsFrame(new Uint8Array(30_000).fill(0x91)),
    outcome: NOT_HELLO,
  },
  {
    name: 'a map in a map, 30 000 times',
    frames: wsFrame(new Uint8Array(30_000).fill(0x81)),
    outcome: NOT_HELLO,
  },
  {
    name: 'an array of 2^32 elements',
    frames: wsFrame(Uint8Array.of(0xdd, 255, 255, 255, 255, 1)),
    outcome: NOT_HELLO,
  },
  { name: 'a close without a code', frames: wsFrame(empty, { opcode: 8 }), outcome: { close: 1005 } },
  {
    name: 'a close with half a code',
    frames: wsFrame(Uint8Array.of(3), { opcode: 8 }),
    outcome: { close: 1005 },
  },
  ...[0, 999, 1004, 1005, 1006, 1015, 2999, 65_535].map((code) => ({
    name: `a close with ${code}`,
    frames: closeFrame(code),
    outcome: { close: 1005 } as Outcome,
  })),
  {
    name: 'a close whose reason is not UTF-8',
    frames: wsFrame(Uint8Array.of(3, 232, 0xc3, 0x28), { opcode: 8 }),
    outcome: { close: 1005 },
  },
]
