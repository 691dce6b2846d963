/**
 * Reads a CSV file with a header, one fix a record. Which columns mean what is decided by their names;
 * all others are passed on untouched, for whoever wants to split by them.
 */
import { pipeline, Readable } from 'node:stream'
import { CsvError, parse } from 'csv-parse'
import { peek } from './bytes.ts'
import { type Fix, type FixTexts, fixOf, shown, TrackError } from './fix.ts'

/** Header names by meaning, compared without regard to case; the first that is there counts. */
const NAMES: Readonly<Record<keyof FixTexts, readonly string[]>> = {
  lat: ['lat', 'latitude'],
  lng: ['lng', 'lon', 'longitude'],
  time: ['time', 'timestamp', 'datetime', 'recorded_at'],
  accuracy: ['accuracy'],
  speed: ['speed'],
  heading: ['bearing', 'heading', 'course'],
  altitude: ['altitude', 'ele'],
}
const REQUIRED = ['lat', 'lng', 'time'] as const
/** A longer record is a sign that this is no CSV at all, and must not be gathered in memory. */
const RECORD_CHARS_MAX = 128 * 1024

/** Fields are separated by comma, semicolon or tab, whichever the header has. Speed is metres per second. */
export async function* readCsv(chunks: AsyncGenerator<Buffer>, file: string): AsyncGenerator<Fix> {
  const { head, all } = await peek(chunks)
  const parser = parse({
    bom: true,
    delimiter: delimiterOf(head),
    info: true,
    max_record_size: RECORD_CHARS_MAX,
    skip_empty_lines: true,
    trim: true,
  })
  // The callback is empty because the loop below gets the error as well.
  pipeline(Readable.from(all), parser, () => {})

  let columns: Columns | null = null
  let fixes = 0
  try {
    for await (const { record, info } of parser as AsyncIterable<CsvRecord>) {
      if (columns === null) {
        columns = columnsOf(record, file, info.lines)
        continue
      }
      fixes++
      yield fixOfRecord(record, columns, file, info.lines)
    }
  } catch (error) {
    throw error instanceof CsvError ? new TrackError(file, lineOf(error), reasonOf(error)) : error
  } finally {
    // The pipeline would let the file go as well, but some time after this reader has stopped.
    parser.destroy()
    await chunks.return(undefined)
  }
  if (columns === null) throw new TrackError(file, null, 'empty file')
  if (fixes === 0) throw new TrackError(file, null, 'a header but no records')
}

interface CsvRecord {
  record: string[]
  info: { lines: number }
}

interface Columns {
  header: string[]
  /** Where in a record each meaning stands, −1 where the file has none. */
  at: Record<keyof FixTexts, number>
}

function columnsOf(header: string[], file: string, line: number): Columns {
  const lower = header.map((name) => name.toLowerCase())
  const at = Object.fromEntries(
    Object.entries(NAMES).map(([meaning, names]) => [
      meaning,
      lower.indexOf(names.find((name) => lower.includes(name)) ?? ''),
    ]),
  ) as Columns['at']
  const missing = REQUIRED.filter((meaning) => at[meaning] < 0).map((meaning) => NAMES[meaning].join('|'))
  if (missing.length > 0) {
    const reason = `no column ${missing.join(', no column ')} in the header: ${shown(header.join(','))}`
    throw new TrackError(file, line, reason)
  }
  return { header, at }
}

function fixOfRecord(record: string[], { header, at }: Columns, file: string, line: number): Fix {
  const texts: FixTexts = {
    lat: record[at.lat],
    lng: record[at.lng],
    time: record[at.time],
    accuracy: record[at.accuracy],
    speed: record[at.speed],
    heading: record[at.heading],
    altitude: record[at.altitude],
  }
  const columns: Record<string, string> = {}
  for (let i = 0; i < header.length; i++) columns[header[i]!] = record[i]!
  return fixOf(texts, line, columns, (reason) => {
    throw new TrackError(file, line, reason)
  })
}

function delimiterOf(head: Buffer): string {
  const firstLine = head
    .toString('utf8')
    .trimStart()
    .split(/[\r\n]/, 1)[0]!
  return [',', ';', '\t'].find((candidate) => firstLine.includes(candidate)) ?? ','
}

function lineOf(error: CsvError): number | null {
  return typeof error.lines === 'number' ? error.lines : null
}

function reasonOf(error: CsvError): string {
  switch (error.code) {
    case 'CSV_RECORD_INCONSISTENT_FIELDS_LENGTH':
      return 'not as many fields as the header has'
    case 'CSV_QUOTE_NOT_CLOSED':
      return 'a quotation mark is never closed'
    case 'CSV_MAX_RECORD_SIZE':
      return `not CSV: a record longer than ${RECORD_CHARS_MAX} characters`
    default:
      return `not CSV: ${shown(error.message)}`
  }
}
