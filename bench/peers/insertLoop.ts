/**
 * The reference of `ingest`: the hub's own INSERT over the hub's own connection, in a bare loop with batches that
 * were built beforehand. What the hub reaches of it is what the way from the socket to the statement costs.
 */
import { createSessionBook, type Session } from '../../src/core/sessions.ts'
import { POINT_STRIDE } from '../../src/protocol/messages.ts'
import type { Run } from '../../src/store/line/run.ts'
import { insertDevice } from '../../src/store/people/devices.ts'
import { insertUser } from '../../src/store/people/users.ts'
import { insertPoints, type PointRow, pointParameters } from '../../src/store/points/points.ts'
import { saveSessions } from '../../src/store/points/sessions.ts'
import { cpuMs, monotonicMs } from '../clock.ts'
import { type Course, nextPoints, startCourse } from '../load/points.ts'

const SESSION_LIMITS = { sessionGapMs: 1_800_000, sessionIdleMs: 86_400_000 }
/** Points of one device that lie next to each other in a batch, as they do when they come in frames. */
const POINTS_PER_FRAME = 10

export interface Inserted {
  rowsPerSecond: number
  /** Processor time of this process for each row: to send it, and before that to write it; the server's comes on top. */
  cpuMicrosPerRow: number
  buildCpuMicrosPerRow: number
}

/** A device of the database with a session, and where its points go on. */
export interface Line {
  course: Course
  session: Session
}

/** A user with so many devices, each with one session. */
export async function createLines(run: Run, devices: number, email: string): Promise<Line[]> {
  const lines: Line[] = []
  const user = await insertUser(run, { email, name: 'Reference', role: 'user' })
  for (let place = 0; place < devices; place++) {
    const name = `Device ${place + 1}`
    const device = await insertDevice(
      run,
      { userId: user!.id, name, platform: 'android', color: 'blue' },
      devices,
    )
    if (device === null || device === 'full') throw new Error('there are other devices')
    const course = startCourse(place, Date.now())
    const book = createSessionBook(device.id, user!.id, SESSION_LIMITS, [])
    lines.push({ course, session: book.named(course.sessionMs, Date.now(), []) })
  }
  const sessions = lines.map(({ session }) => session)
  await saveSessions(run, sessions, SESSION_LIMITS.sessionGapMs)
  return lines
}

export async function createInsertLoop(run: Run, devices: number, email = 'reference@example.org') {
  const lines = await createLines(run, devices, email)
  return { insert, insertSingly }

  /** Inserts `rows` new rows, `batchRows` with each statement, one statement after the other. */
  async function insert(rows: number, batchRows: number): Promise<Inserted> {
    const rowsOfBatches: PointRow[][] = []
    for (let made = 0; made < rows; made += batchRows) {
      rowsOfBatches.push(nextRows(Math.min(batchRows, rows - made)))
    }
    const beforeMs = cpuMs()
    const batches = rowsOfBatches.map(pointParameters)
    const buildCpuMicrosPerRow = ((cpuMs() - beforeMs) / rows) * 1000
    const [startedMs, startedCpuMs] = [monotonicMs(), cpuMs()]
    let inserted = 0
    for (const batch of batches) inserted += await insertPoints(run, batch)
    const [tookMs, tookCpuMs] = [monotonicMs() - startedMs, cpuMs() - startedCpuMs]
    if (inserted !== rows) throw new Error(`${inserted} of ${rows} rows were new`)
    const cpuMicrosPerRow = (tookCpuMs / rows) * 1000
    return { rowsPerSecond: (rows / tookMs) * 1000, cpuMicrosPerRow, buildCpuMicrosPerRow }
  }

  /** What trackers do by default: for every position an INSERT of its own, committed, so many at a time. */
  async function insertSingly(rows: number, atOnce: number) {
    const singles = nextRows(rows).map((row) => pointParameters([row]))
    const [startedMs, startedCpuMs] = [monotonicMs(), cpuMs()]
    await Promise.all(
      Array.from({ length: atOnce }, async () => {
        for (let row = singles.pop(); row !== undefined; row = singles.pop()) await insertPoints(run, row)
      }),
    )
    const [tookMs, tookCpuMs] = [monotonicMs() - startedMs, cpuMs() - startedCpuMs]
    return { rowsPerSecond: (rows / tookMs) * 1000, cpuMicrosPerRow: (tookCpuMs / rows) * 1000 }
  }

  /** Of each device a frame, then of each the next. */
  function nextRows(count: number): PointRow[] {
    const rows: PointRow[] = []
    const receivedMs = Date.now()
    for (let turn = 0; rows.length < count; turn++) {
      const { course, session } = lines[turn % lines.length]!
      const values = nextPoints(course, Math.min(POINTS_PER_FRAME, count - rows.length))
      for (let at = 0; at * POINT_STRIDE < values.length; at++) rows.push({ values, at, session, receivedMs })
    }
    return rows
  }
}

export type InsertLoop = Awaited<ReturnType<typeof createInsertLoop>>
