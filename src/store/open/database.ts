/**
 * The database as the other parts see it, by what each of them asks of it. Away until it is open: whoever asks before is
 * told so.
 */
import { wait } from '../../clock.ts'
import type { Backlog } from '../../core/backlog.ts'
import { blame, codeOf } from '../../core/blame.ts'
import type { Grant } from '../../core/grant.ts'
import type { Session } from '../../core/sessions.ts'
import { createGather } from '../line/gather.ts'
import type { Run } from '../line/run.ts'
import { readAccess, readCredentials } from '../live/credentials.ts'
import { writeLastSeen } from '../live/lastSeen.ts'
import { readDeviceIds, readRecords } from '../live/records.ts'
import { createHistory, type HistoryLimits } from '../past/history.ts'
import { createDirectory, type DirectoryLimits } from '../people/directory.ts'
import { writeLastLogin } from '../people/users.ts'
import { readWithdrawn } from '../people/withdrawn.ts'
import { readIdleDevices, readLastPoints } from '../points/lastPoints.ts'
import { readNewestReceivedMs } from '../points/newest.ts'
import { deletePoints, deleteRejected, deleteSessions, findOld } from '../points/retention.ts'
import { createWriter, type WriterListener, type WriterOptions } from '../points/writer.ts'
import { openStore, type Store, type StoreOptions } from './store.ts'

export interface DatabaseOptions extends Omit<StoreOptions, 'limits' | 'log'> {
  limits: StoreOptions['limits'] &
    HistoryLimits &
    DirectoryLimits &
    WriterOptions<never>['limits'] & { sessionIdleMs: number }
  ops: {
    log: StoreOptions['log']
    /** `reads` are statements of everything but the writer, `pointPages` pages of points for tracks. */
    counts: { reads: number; pointPages: number; writeRetries: number }
    /** `away`: the environment's fault, which is waited out. */
    faults: { away: (error: unknown) => void }
  }
}

const ACCESS_BATCH_MAX = 2_000
const CREDENTIALS_BATCH_MAX = 500
const PATIENCE_MS = 1_000

export type Database = ReturnType<typeof createDatabase>

export function createDatabase(options: DatabaseOptions) {
  const { limits, ops, clock } = options
  const { log, counts, faults } = ops
  const { promise: failed, fail } = failure()
  let store: Store | null = null
  let asking: Promise<boolean> | null = null
  const people = createDirectory(read, limits)
  const readDevice = createGather((ids) => readCredentials(read, ids), CREDENTIALS_BATCH_MAX)
  return {
    open,
    close,
    answers,
    /** Resolves with the reason when nothing more can be promised. */
    failed,
    people,
    past: createHistory(read, limits, () => {
      counts.pointPages += 1
    }),
    access: {
      findUser: people.findUser,
      findShare: people.findShare,
      readAccess: createGather((ids) => readAccess(read, ids), ACCESS_BATCH_MAX),
      readDevice,
      readWithdrawn: (grants: readonly Grant[], nowMs: number) => readWithdrawn(read, grants, nowMs),
    },
    roster: {
      readIds: (userIds: readonly number[] | null, after: number, countMax: number) =>
        readDeviceIds(read, userIds, after, countMax),
      readRecords: (ids: readonly number[]) => readRecords(read, ids),
    },
    points: {
      // The embedded database is one connection.
      lanes: options.databaseUrl === null ? 1 : limits.writerLanes,
      openWriter,
    },
    upkeep: upkeepOf(read, readDevice, limits),
    writeLastSeen: (seen: ReadonlyMap<number, number>) => writeLastSeen(read, seen),
    writeLastLogin: (logins: ReadonlyMap<number, number>) => writeLastLogin(read, logins),
  }

  /**
   * Resolves when the database is open and up to date; keeps trying while it is away, until `aborted`. Rejects with
   * StartError when only a person can help. `onNewest` hears when the newest point of all was received, in ms, before
   * anybody else is answered.
   */
  async function open(aborted: AbortSignal, onNewest: (receivedMs: number) => void): Promise<void> {
    const opened = await openStore({ ...options, log }, aborted)
    try {
      onNewest((await patiently(() => readNewestReceivedMs(opened.read), aborted)) ?? 0)
    } catch (error) {
      await opened.close()
      throw error
    }
    store = opened
    opened.failed.then(fail)
  }

  async function read(...statement: Parameters<Run>): ReturnType<Run> {
    if (store === null) throw Object.assign(new Error('the database is not there yet'), { code: 'NOT_OPEN' })
    counts.reads += 1
    return store.read(...statement)
  }

  /** To be called when it is open. */
  function openWriter<Owner>(
    backlog: Backlog<Owner>,
    told: Pick<WriterListener<Owner>, 'stored' | 'away' | 'back'>,
  ): { stop: (timeoutMs: number) => Promise<boolean>; readonly awayLanes: number } {
    const retried = () => {
      counts.writeRetries += 1
    }
    const listener = { ...told, broken: fail, retried }
    return createWriter({ backlog, runs: store!.writes, limits, listener, clock })
  }

  /** One question at a time, however many ask; never rejects. */
  function answers(): Promise<boolean> {
    asking ??= read('select 1')
      .then(
        () => true,
        () => false,
      )
      .finally(() => {
        asking = null
      })
    return asking
  }

  async function patiently<T>(step: () => Promise<T>, aborted: AbortSignal): Promise<T> {
    for (;;) {
      try {
        return await step()
      } catch (error) {
        if (blame(codeOf(error)) !== 'database' || aborted.aborted) throw error
        faults.away(error)
        await wait(clock, PATIENCE_MS, aborted)
      }
    }
  }

  async function close(): Promise<void> {
    await store?.close()
  }
}

/** What upkeep asks: sessions that go on, and what is old. */
function upkeepOf<Known>(
  read: Run,
  readDevice: (id: number) => Promise<Known | undefined>,
  limits: { sessionGapMs: number; sessionIdleMs: number },
) {
  return {
    findIdle: (nowMs: number, countMax: number, after: number) =>
      readIdleDevices(read, nowMs, limits, countMax, after),
    findLastPoints: (sessions: readonly Session[]) => readLastPoints(read, sessions),
    readDevice,
    findOld: (after: number, countMax: number, oldestMs: number) => findOld(read, after, countMax, oldestMs),
    deletePoints: (...asked: OldRows) => deletePoints(read, ...asked),
    deleteSessions: (...asked: OldRows) => deleteSessions(read, ...asked),
    deleteRejected: (...asked: OldRows) => deleteRejected(read, ...asked),
  }
}

/** Of a device, older than that, so many at most. */
type OldRows = [deviceId: number, oldestMs: number, rowsMax: number]

function failure() {
  let fail: (error: Error) => void = () => {}
  const promise = new Promise<Error>((resolve) => {
    fail = resolve
  })
  return { promise, fail }
}
