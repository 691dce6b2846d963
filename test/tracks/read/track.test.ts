import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readCsv } from '../../../src/tracks/read/csv.ts'
import type { Fix } from '../../../src/tracks/read/fix.ts'
import { readGpx } from '../../../src/tracks/read/gpx.ts'
import { readTrack } from '../../../src/tracks/read/track.ts'

const demo = (name: string) => fileURLToPath(new URL(`../../../src/demo/tracks/${name}`, import.meta.url))
/** A folder that also holds geolife-001.csv.gz, which may not be carried into this project. */
const moreTracks = process.env.TRACKS_DIR

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'alzy-tracks-'))
})
afterAll(() => rm(folder, { recursive: true }))

async function stored(name: string, content: string | Uint8Array): Promise<string> {
  const file = join(folder, name)
  await writeFile(file, content)
  return file
}

async function fixesOf(file: string): Promise<Fix[]> {
  const fixes: Fix[] = []
  for await (const fix of readTrack(file)) fixes.push(fix)
  return fixes
}

async function fixesOfText(name: string, content: string): Promise<Fix[]> {
  return fixesOf(await stored(name, content))
}

/** The error of a file, without the folder in front of its name. */
async function errorOf(name: string, content: string | Uint8Array): Promise<string> {
  const file = await stored(name, content)
  return fixesOf(file).then(
    () => 'no error',
    (error: Error) => error.message.replace(file, name),
  )
}

const iso = (fix: Fix | undefined) =>
  fix === undefined || fix.recordedMs === null ? null : new Date(fix.recordedMs).toISOString()

describe('files that real receivers recorded', () => {
  test('a walk in GPX 1.0 gives the points of all its segments and none of its waypoints', async () => {
    const fixes = await fixesOf(demo('cerknicko-jezero.gpx'))
    expect(fixes).toHaveLength(296)
    expect(fixes[0]).toEqual({
      recordedMs: Date.parse('2010-08-05T14:23:59Z'),
      lat: 45.772175035,
      lng: 14.357659249,
      altitude: 542.320923,
      line: 68,
      columns: {},
    })
    expect(iso(fixes.at(-1))).toBe('2010-08-05T16:23:49.000Z')
  })

  test('points without a time are given without one, and the file’s own time is not lent to them', async () => {
    const fixes = await fixesOf(demo('korita-zbevnica.gpx'))
    expect(fixes).toHaveLength(871)
    expect(fixes.filter((fix) => fix.recordedMs !== null)).toHaveLength(513)
    expect(fixes.findIndex((fix) => fix.recordedMs !== null)).toBe(358)
    expect(iso(fixes[358])).toBe('2010-10-03T09:36:30.000Z')
  })

  test('a drive whose whole file is one line gives every point', async () => {
    const fixes = await fixesOf(demo('around-visnjan-with-car.gpx'))
    expect(fixes).toHaveLength(104)
    expect(fixes.at(-1)).toMatchObject({ lat: 45.2733349521, lng: 13.7139970623, altitude: 210.67 })
    expect(iso(fixes.at(-1))).toBe('2020-12-18T06:24:24.000Z')
  })

  test('a bus line in CSV gives all vehicles in the order of the file, with every column', async () => {
    const fixes = await fixesOf(demo('liverpool-bus-14.csv'))
    expect(fixes).toHaveLength(1_533)
    expect(fixes[1]).toMatchObject({ lat: 53.445026, lng: -2.923543, heading: 53, line: 3 })
    expect(iso(fixes[1])).toBe('2026-01-26T15:57:24.000Z')
    expect(fixes[0]).not.toHaveProperty('heading')
    expect(new Set(fixes.map((fix) => fix.columns.vehicle_id))).toEqual(
      new Set(['4716', '4720', '4722', '4733', '4803', '4836', '4841', '4842']),
    )
  })

  test.skipIf(moreTracks === undefined)('a packed log of months gives every fix', async () => {
    let count = 0
    let last: Fix | undefined
    for await (const fix of readTrack(join(moreTracks!, 'geolife-001.csv.gz'))) {
      count++
      last = fix
    }
    expect(count).toBe(108_607)
    expect(last).toMatchObject({ lat: 39.977879, lng: 116.326628, line: 108_608 })
    expect(iso(last)).toBe('2008-12-15T00:31:18.000Z')
  })
})

describe('GPX', () => {
  const gpx = (points: string) => `<gpx><trk><trkseg>${points}</trkseg></trk></gpx>`

  test('speed and course of GPX 1.0 are read, a course of 360 as north', async () => {
    const [fix] = await fixesOfText(
      'speed.gpx',
      gpx('<trkpt lat="1.5" lon="-2.5"><speed>3.25</speed><course>360</course></trkpt>'),
    )
    expect(fix).toMatchObject({ lat: 1.5, lng: -2.5, speed: 3.25, heading: 0, recordedMs: null })
  })

  test('fields of extensions and of other vocabularies are not taken for the point’s own', async () => {
    const [fix] = await fixesOfText(
      'foreign.gpx',
      gpx(`<trkpt lat="1" lon="2"><time>2020-01-01T00:00:00Z</time><x:time>yesterday</x:time>
           <extensions><speed>99</speed><x:p><x:ele>7</x:ele></x:p></extensions></trkpt>`),
    )
    expect(iso(fix)).toBe('2020-01-01T00:00:00.000Z')
    expect(fix).not.toHaveProperty('speed')
    expect(fix).not.toHaveProperty('altitude')
  })

  test('elements with a prefix, CDATA and a byte order mark are read', async () => {
    const [fix] = await fixesOfText(
      'prefix.gpx',
      `\uFEFF<?xml version="1.0"?><g:gpx xmlns:g="http://www.topografix.com/GPX/1/1"><g:trk><g:trkseg>
       <g:trkpt lat="1" lon="2"><g:ele><![CDATA[12.5]]></g:ele></g:trkpt></g:trkseg></g:trk></g:gpx>`,
    )
    expect(fix).toMatchObject({ altitude: 12.5, line: 2 })
  })

  test('what is inside decides, not the name: GPX in a packed file called .txt', async () => {
    const packed = gzipSync(gpx('<trkpt lat="1" lon="2"/>'))
    expect(await fixesOf(await stored('walk.txt', packed))).toHaveLength(1)
  })

  test('routes and waypoints are no track', async () => {
    const reason = 'places.gpx: no trkpt (track point) in this GPX file'
    expect(
      await errorOf('places.gpx', '<gpx><wpt lat="1" lon="2"/><rte><rtept lat="1" lon="2"/></rte></gpx>'),
    ).toBe(reason)
  })

  test.each([
    ['text.gpx', 'hello', 'text.gpx, line 1: not XML: text data outside of root node'],
    ['map.kml', '<?xml version="1.0"?>\n<kml/>', 'map.kml, line 2: not GPX: the root element is <kml>'],
    ['cut.gpx', '<gpx>\n<trk><trkseg>\n', 'cut.gpx, line 3: broken XML: unclosed tag: trkseg'],
    ['lat.gpx', gpx('\n<trkpt lat="abc" lon="2"/>'), 'lat.gpx, line 2: bad latitude "abc"'],
    ['lon.gpx', gpx('\n\n<trkpt lat="1"/>'), 'lon.gpx, line 3: no longitude'],
    [
      'far.gpx',
      gpx('<trkpt lat="1" lon="180.1"/>'),
      'far.gpx, line 1: bad longitude "180.1", not within ±180',
    ],
    [
      'when.gpx',
      gpx('<trkpt lat="1" lon="2"><time>noon</time></trkpt>'),
      'when.gpx, line 1: bad time "noon"',
    ],
  ])('%s is refused with file, line and reason', async (name, content, message) => {
    expect(await errorOf(name, content)).toBe(message)
  })
})

describe('CSV', () => {
  test('the names of columns are free in case and wording, the rest is kept by name', async () => {
    const [fix] = await fixesOfText(
      'names.csv',
      'Recorded_At,LATITUDE,lon,Ele,speed,course,Accuracy,Tram\n2020-01-01T00:00:00Z,1,2,3,4,5,6,7 b\n',
    )
    expect(fix).toMatchObject({ lat: 1, lng: 2, altitude: 3, speed: 4, heading: 5, accuracy: 6, line: 2 })
    expect(fix!.columns.Tram).toBe('7 b')
  })

  test.each([';', '\t'])('fields may be separated by %j', async (separator) => {
    const text = ['lat,lng,time', '1.5,2.5,2020-01-01 00:00:00'].join('\r\n').replaceAll(',', separator)
    expect(await fixesOfText('separated.csv', text)).toMatchObject([{ lat: 1.5, lng: 2.5 }])
  })

  test('order, repetitions and missing times stay as they are in the file', async () => {
    const times = ['2020-01-01 00:00:02', '', '2020-01-01 00:00:01', '2020-01-01 00:00:01', 'NaT']
    const fixes = await fixesOfText('order.csv', ['lat,lng,time', ...times.map((t) => `1,2,${t}`)].join('\n'))
    expect(fixes.map(iso)).toEqual([
      '2020-01-01T00:00:02.000Z',
      null,
      '2020-01-01T00:00:01.000Z',
      '2020-01-01T00:00:01.000Z',
      null,
    ])
  })

  test('an optional number that receivers use for “unknown” is absent', async () => {
    const [fix] = await fixesOfText(
      'unknown.csv',
      'lat,lng,time,speed,heading,accuracy,altitude\n1,2,2020-01-01 00:00:00,-1,361,nan,\n',
    )
    for (const field of ['speed', 'heading', 'accuracy', 'altitude']) expect(fix).not.toHaveProperty(field)
  })

  test.each([
    ['empty.csv', '', 'empty.csv: empty file'],
    ['blank.csv', ' \n\n', 'blank.csv: empty file'],
    ['header.csv', 'lat,lng,time\n', 'header.csv: a header but no records'],
    [
      'columns.csv',
      'id,lat,when\n1,2,3\n',
      'columns.csv, line 1: no column lng|lon|longitude, no column time|timestamp|datetime|recorded_at in the header: id,lat,when',
    ],
    ['seven.csv', `lat,lng,time\n${'1,2,\n'.repeat(5)}abc,2,\n`, 'seven.csv, line 7: bad latitude "abc"'],
    ['south.csv', 'lat,lng,time\n-91,2,\n', 'south.csv, line 2: bad latitude "-91", not within ±90'],
    ['hole.csv', 'lat,lng,time\n,2,\n', 'hole.csv, line 2: bad latitude ""'],
    ['hex.csv', 'lat,lng,time\n0x10,2,\n', 'hex.csv, line 2: bad latitude "0x10"'],
    ['speed.csv', 'lat,lng,time,speed\n1,2,,4 m/s\n', 'speed.csv, line 2: bad speed "4 m/s"'],
    ['short.csv', 'lat,lng,time\n1,2,\n\n1,2\n', 'short.csv, line 4: not as many fields as the header has'],
    ['quote.csv', 'lat,lng,time\n"1,2,3\n', 'quote.csv, line 2: a quotation mark is never closed'],
    [
      'long.csv',
      `lat,lng,time\n1,2,${'x'.repeat(200_000)}`,
      'long.csv, line 2: not CSV: a record longer than 131072 characters',
    ],
    [
      'utf16.csv',
      Buffer.from('\uFEFFlat,lng,time\n', 'utf16le'),
      'utf16.csv: UTF-16 text; it has to be UTF-8',
    ],
    ['plain.csv.gz', 'lat,lng,time\n', 'plain.csv.gz: not gzip, although its name ends in .gz'],
    [
      'broken.gz',
      Buffer.from([0x1f, 0x8b, 0, 0, 1, 2]),
      'broken.gz: unreadable gzip: unknown compression method',
    ],
  ])('%s is refused with file, line and reason', async (name, content, message) => {
    expect(await errorOf(name, content)).toBe(message)
  })

  test('what a file holds cannot write control characters to the terminal', async () => {
    expect(await errorOf('escape.csv', 'lat,lng,time\n"\u001b[2J\nx",2,\n')).toBe(
      'escape.csv, line 3: bad latitude "\uFFFD[2J\uFFFDx"',
    )
  })
})

test('a file that is missing and a folder are named with the reason', async () => {
  await expect(fixesOf('nowhere.gpx')).rejects.toThrow('nowhere.gpx: no such file')
  await expect(fixesOf(folder)).rejects.toThrow(`${folder}: not a file`)
})

describe('times', () => {
  test.each([
    ['2020-02-29T12:00:00Z', '2020-02-29T12:00:00.000Z'],
    ['2020-02-29 12:00:00', '2020-02-29T12:00:00.000Z'],
    ['2020/02/29 12:00', '2020-02-29T12:00:00.000Z'],
    ['2020-02-29 12:00:00.1239', '2020-02-29T12:00:00.123Z'],
    ['2020-02-29T12:00:00.5+02:00', '2020-02-29T10:00:00.500Z'],
    ['2020-02-29 12:00:00-0330', '2020-02-29T15:30:00.000Z'],
    ['2020-02-29 12:00:00+01', '2020-02-29T11:00:00.000Z'],
    ['2016-12-31T23:59:60Z', '2017-01-01T00:00:00.000Z'],
    ['1582977600', '2020-02-29T12:00:00.000Z'],
    ['1582977600250', '2020-02-29T12:00:00.250Z'],
  ])('%s is %s', async (text, expected) => {
    const [fix] = await fixesOfText('time.csv', `lat,lng,time\n1,2,"${text}"\n`)
    expect(iso(fix)).toBe(expected)
  })

  test.each([
    '2021-02-29 12:00:00',
    '2020-13-01 12:00:00',
    '2020-01-01 24:00:00',
    '2020-01-01 12:60:00',
    '2020-01/01 12:00:00',
    '29.02.2020 12:00',
    '2020-02-29',
    '12345',
  ])('%s is no time', async (text) => {
    const message = `time.csv, line 2: bad time "${text}"`
    expect(await errorOf('time.csv', `lat,lng,time\n1,2,${text}\n`)).toBe(message)
  })
})

describe('a file larger than memory', () => {
  test.each([
    ['CSV', readCsv, 'lat,lng,time\n', '1,2,2020-01-01 00:00:00\n'],
    ['GPX', readGpx, '<gpx><trk><trkseg>', '<trkpt lat="1" lon="2"/>'],
  ])(
    '%s without an end is read as it is asked for, and let go when nobody asks',
    async (_, read, head, part) => {
      let chunks = 0
      let released = false
      let taken = 0
      for await (const fix of read(endless(), 'endless')) {
        expect(fix.lat).toBe(1)
        if (++taken === 20_000) break
      }
      expect(taken).toBe(20_000)
      expect(released).toBe(true)
      // 200 chunks hold what was taken; the rest is what streams read ahead.
      expect(chunks).toBeLessThan(400)

      async function* endless(): AsyncGenerator<Buffer> {
        try {
          yield Buffer.from(head)
          for (;;) {
            chunks++
            yield Buffer.from(part.repeat(100))
          }
        } finally {
          released = true
        }
      }
    },
  )

  test('a packed file is unpacked on the way: one that is cut off gives its fixes before it fails', async () => {
    const lines = Array.from({ length: 50_000 }, (_, i) => `${(i * 0.0017) % 90},${(i * 0.0031) % 180},`)
    const whole = gzipSync(['lat,lng,time', ...lines].join('\n'))
    const cut = await stored('cut.csv.gz', whole.subarray(0, whole.length / 2))
    expect(() => gunzipSync(whole.subarray(0, whole.length / 2))).toThrow()
    let count = 0
    const read = async () => {
      for await (const _ of readTrack(cut)) count++
    }
    await expect(read()).rejects.toThrow(`${cut}: unreadable gzip: unexpected end of file`)
    expect(count).toBeGreaterThan(10_000)
    expect(count).toBeLessThan(50_000)
  })
})
