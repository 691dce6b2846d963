/**
 * Walks over msgpack without decoding it and tells whether it is one whole value, and which of the things
 * that libraries disagree about are in it. Written from the format's specification, value by value.
 */
import { isUtf8 } from 'node:buffer'

export interface Survey {
  /** Exactly one value, and nothing after it. */
  wellFormed: boolean
  /** Where the payloads of float32 values begin. */
  float32At: number[]
  hasMap: boolean
  hasExt: boolean
  hasTextThatIsNotUtf8: boolean
}

export function survey(bytes: Uint8Array): Survey {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const found: Survey = {
    wellFormed: false,
    float32At: [],
    hasMap: false,
    hasExt: false,
    hasTextThatIsNotUtf8: false,
  }
  try {
    found.wellFormed = value(0) === bytes.length
  } catch (fault) {
    if (!(fault instanceof RangeError)) throw fault
  }
  return found

  /** Returns where the value that begins at `at` ends. */
  function value(at: number): number {
    const head = view.getUint8(at)
    if (head <= 0x7f || head >= 0xe0) return at + 1
    if (head <= 0x8f) return map(at + 1, head - 0x80)
    if (head <= 0x9f) return array(at + 1, head - 0x90)
    if (head <= 0xbf) return text(at + 1, head - 0xa0)
    switch (head) {
      case 0xc0: // nil
      case 0xc2: // false
      case 0xc3: // true
        return at + 1
      case 0xc4:
        return payload(at + 2, view.getUint8(at + 1))
      case 0xc5:
        return payload(at + 3, view.getUint16(at + 1))
      case 0xc6:
        return payload(at + 5, view.getUint32(at + 1))
      case 0xc7:
        return ext(at + 2, view.getUint8(at + 1))
      case 0xc8:
        return ext(at + 3, view.getUint16(at + 1))
      case 0xc9:
        return ext(at + 5, view.getUint32(at + 1))
      case 0xca:
        found.float32At.push(at + 1)
        return payload(at + 1, 4)
      case 0xcc: // uint8, int8
      case 0xd0:
        return payload(at + 1, 1)
      case 0xcd: // uint16, int16
      case 0xd1:
        return payload(at + 1, 2)
      case 0xce: // uint32, int32
      case 0xd2:
        return payload(at + 1, 4)
      case 0xcb: // float64, uint64, int64
      case 0xcf:
      case 0xd3:
        return payload(at + 1, 8)
      case 0xd4:
        return ext(at + 1, 1)
      case 0xd5:
        return ext(at + 1, 2)
      case 0xd6:
        return ext(at + 1, 4)
      case 0xd7:
        return ext(at + 1, 8)
      case 0xd8:
        return ext(at + 1, 16)
      case 0xd9:
        return text(at + 2, view.getUint8(at + 1))
      case 0xda:
        return text(at + 3, view.getUint16(at + 1))
      case 0xdb:
        return text(at + 5, view.getUint32(at + 1))
      case 0xdc:
        return array(at + 3, view.getUint16(at + 1))
      case 0xdd:
        return array(at + 5, view.getUint32(at + 1))
      case 0xde:
        return map(at + 3, view.getUint16(at + 1))
      case 0xdf:
        return map(at + 5, view.getUint32(at + 1))
    }
    throw new RangeError('0xc1 is never used')
  }

  function payload(at: number, size: number): number {
    if (at + size > bytes.length) throw new RangeError('cut short')
    return at + size
  }

  function text(at: number, size: number): number {
    const end = payload(at, size)
    if (!isUtf8(bytes.subarray(at, end))) found.hasTextThatIsNotUtf8 = true
    return end
  }

  function ext(at: number, size: number): number {
    found.hasExt = true
    return payload(at, 1 + size)
  }

  function array(at: number, count: number): number {
    let end = at
    for (let i = 0; i < count; i++) end = value(end)
    return end
  }

  function map(at: number, count: number): number {
    found.hasMap = true
    return array(at, count * 2)
  }
}
