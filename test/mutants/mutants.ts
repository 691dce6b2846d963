/**
 * Bugs on purpose, each of one line, with the tests that have to notice it. Every one of them builds: what the compiler
 * refuses needs no test.
 */
export interface Mutant {
  breaks: string
  /** Below src/. */
  file: string
  /** Occurs there exactly once. */
  search: string
  replace: string
  /** What the line needs elsewhere in the file to build. */
  also?: { search: string; replace: string }
  /** The fewest that notice it, below test/. */
  tests: readonly string[]
  /** Only tests whose full name matches. */
  named?: string
}

const EACH_STORE = 'postgresql'

export const MUTANTS: readonly Mutant[] = [
  // What is acknowledged is stored
  {
    breaks: 'ACK before the commit',
    file: 'store/writer.ts',
    search: 'const stored = await store(run, lane, entries) // Resolves only once all of it is committed.',
    replace:
      'void store(run, lane, entries); const stored = { entries, sessions: [], rows: 0, inserted: 0, refused: new Map<number, number>(), tookMs: 0 }',
    tests: ['store/writer.test.ts'],
    named: `${EACH_STORE}.*reports a batch when it is committed`,
  },
  {
    breaks: 'a batch that was too slow three times counts as stored',
    file: 'store/writer.ts',
    search: 'if (fault === SLOW) return halve()',
    replace: 'if (fault === SLOW) return inserted',
    tests: ['simulation/simulation.test.ts'],
    named: 'seeds',
  },
  {
    breaks: 'a refused row is told by the place of another',
    file: 'store/writer.ts',
    search: 'if (index <= place) place += 1',
    replace: 'if (index < place) place += 1',
    tests: ['simulation/simulation.test.ts'],
    named: 'seeds',
  },
  {
    breaks: 'a lost reply is taken for a commit',
    file: 'store/writer.ts',
    search: 'options.onRetry()',
    replace: "options.onRetry(); if (code !== '57014') return null",
    tests: ['store/cuts.test.ts'],
  },
  {
    breaks: 'a batch that nobody will end keeps its rows from being stored',
    file: 'store/connection.ts',
    search: 'if (codeOf(error) === LOCKED) await unlock(line)',
    replace: 'if (codeOf(error) === LOCKED && options.timeoutMs === 0) await unlock(line)',
    tests: ['fault/cutDatabase.test.ts'],
    named: 'frozen behind a batch',
  },
  {
    breaks: 'what is tried again is not the batch of before',
    file: 'store/writer.ts',
    search: 'inserted = await insertPoints(run, batch)',
    replace:
      'const first = batch.splice(0); inserted = await insertPoints(run, first.length > 0 ? first : pointParameters(rows.slice(1)))',
    tests: ['store/cuts.test.ts'],
  },
  {
    breaks: 'points are stored as often as they come',
    file: 'store/points.ts',
    search: 'on conflict (device_id, recorded_at) do nothing',
    replace: '',
    tests: ['store/writer.test.ts'],
    named: `${EACH_STORE}.*stores a point once`,
  },
  {
    breaks: 'the last content of a point stays, not the first',
    file: 'store/points.ts',
    search: 'on conflict (device_id, recorded_at) do nothing',
    replace:
      'on conflict (device_id, recorded_at) do update set accuracy = excluded.accuracy, lat = excluded.lat',
    tests: ['store/writer.test.ts'],
    named: `${EACH_STORE}.*stores a point once`,
  },
  {
    breaks: 'a poison row takes its whole batch with it',
    file: 'store/writer.ts',
    search: 'if (rows.length === 1) {\n        refusals',
    replace: 'if (rows.length >= 1) {\n        refusals',
    tests: ['store/refusals.test.ts'],
    named: `${EACH_STORE}.*is rejected at its place`,
  },
  {
    breaks: 'sessions that the database has lost are not recognised',
    file: 'store/writer.ts',
    search: 'if (fault !== FOREIGN_KEY || isRecreated)',
    replace: 'if (fault !== UNIQUE || isRecreated)',
    tests: ['store/lostRows.test.ts'],
    named: `${EACH_STORE}.*creates them again for the points`,
  },
  {
    breaks: 'the watchdog never fires',
    file: 'store/line.ts',
    search: '}, options.timeoutMs)',
    replace: '}, 2 ** 31 - 1)',
    tests: ['store/cuts.test.ts'],
    named: 'frozen',
  },
  {
    breaks: 'a read-only database is our own fault',
    file: 'core/blame.ts',
    search: '/^(08|25006|28|3D|40|53|55|57|58)/',
    replace: '/^(08|28|3D|40|53|55|57|58)/',
    tests: ['core/blame.test.ts'],
  },
  {
    breaks: 'what changes while a session is written is never written',
    file: 'core/sessions.ts',
    search: 'session.storedRevision = Math.max(session.storedRevision, revision)',
    replace: 'session.storedRevision = session.revision',
    tests: ['core/sessions.test.ts'],
    named: 'does not hide what changed',
  },
  {
    breaks: 'the end of a session is lost when it was written before its last points',
    file: 'core/sessions.ts',
    search: 'if (session.endedMs > stored.endedMs!) session.revision += 1',
    replace: 'if (session.endedMs < stored.endedMs!) session.revision += 1',
    tests: ['core/sessions.test.ts'],
  },
  {
    breaks: 'an older op decides the status of a session',
    file: 'core/sessions.ts',
    search: "if (session.status === 'ended' || atMs < session.statusMs) return",
    replace: "if (session.status === 'ended') return",
    tests: ['core/sessions.test.ts'],
    named: 'greatest moment',
  },
  {
    breaks: 'dead letters have no bound',
    file: 'store/points.ts',
    search: 'ranked.place > $2::int',
    replace: 'ranked.place > $2::int + 1',
    tests: ['store/refusals.test.ts'],
    named: `${EACH_STORE}.*becomes a dead letter`,
  },
  {
    breaks: 'sockets are closed before what they sent is stored',
    file: 'hub.ts',
    search: 'const isFlushed = (await writer?.stop(limits.shutdownMs)) ?? true',
    replace:
      'devices.closeAll(CLOSE.restart); const isFlushed = (await writer?.stop(limits.shutdownMs)) ?? true',
    tests: ['hub/pause.test.ts'],
  },

  // Windows and order
  {
    breaks: 'the window is off by one',
    file: 'core/credit.ts',
    search: 'if (window.sent + cost > window.granted)',
    replace: 'if (window.sent + cost > window.granted + 1)',
    tests: ['core/credit.test.ts'],
  },
  {
    breaks: 'credit is given twice',
    file: 'core/credit.ts',
    search: 'window.granted = Math.max(window.granted, window.settled + points)',
    replace: 'window.granted += points',
    tests: ['core/credit.test.ts'],
  },
  {
    breaks: 'credit of a closed connection is never free again',
    file: 'core/credit.ts',
    search: 'window.granted = window.sent\n',
    replace: 'window.granted += 0\n',
    tests: ['core/credit.test.ts'],
  },
  {
    breaks: 'the same seq may come again',
    file: 'core/credit.ts',
    search: 'if (seq <= window.lastSeq)',
    replace: 'if (seq < window.lastSeq)',
    tests: ['core/credit.test.ts'],
  },
  {
    breaks: 'a rejected point keeps its frame from being acknowledged',
    file: 'sockets/device.ts',
    search: 'grantMore(window)',
    replace: 'if (rejected.length > 0) return; grantMore(window)',
    tests: ['hub/device.test.ts'],
    named: 'postgresql.*has its bad points rejected',
  },
  {
    breaks: 'a start that its device has named moves',
    file: 'store/sessions.ts',
    search: '  and exists (select from automatic_sessions a where a.session_id = s.id)\n',
    replace: '',
    tests: ['store/automaticSessions.test.ts'],
    named: `${EACH_STORE}.*keeps the start that its device has named`,
  },
  {
    breaks: 'the device that is suspected stays in the lane of the others',
    file: 'core/backlog.ts',
    search: 'suspects.has(device.id) ? SIDE_LANE : 1 + (device.id % lanes)',
    replace: '1 + (device.id % lanes)',
    tests: ['core/backlog.test.ts'],
  },
  {
    breaks: 'no PAUSE when a frame has waited too long',
    file: 'sockets/pacing.ts',
    search: '<= lateMs) pause(link)',
    replace: '<= Number.NEGATIVE_INFINITY * lateMs) pause(link)',
    tests: ['hub/pause.test.ts'],
  },
  {
    breaks: 'the socket that is replaced stays open',
    file: 'sockets/device.ts',
    search: 'older.peer.end(CLOSE.replaced)',
    replace: 'void older',
    tests: ['hub/device.test.ts'],
    named: 'postgresql.*connects twice',
  },
  {
    breaks: 'BYE closes before the last ACK',
    file: 'sockets/device.ts',
    search: 'if (unsettledPoints(link.window!) === 0) return link.peer.end(CLOSE.normal)',
    replace: 'if (unsettledPoints(link.window!) >= 0) return link.peer.end(CLOSE.normal)',
    tests: ['hub/device.test.ts'],
    named: 'postgresql.*last ACK after BYE',
  },
  {
    breaks: 'whoever never says HELLO stays',
    file: 'sockets/hello.ts',
    search: 'if (!entry.isDone) expire(entry)',
    replace: 'if (!entry.isDone && dueMs < 0) expire(entry)',
    tests: ['hub/device.test.ts'],
    named: 'postgresql.*never says HELLO',
  },
  {
    breaks: 'the hub never pings',
    file: 'sockets/server.ts',
    search: 'sendPingsAutomatically: true',
    replace: 'sendPingsAutomatically: false',
    tests: ['hub/heartbeat.test.ts'],
  },

  // Live
  {
    breaks: 'a new connection has the epoch of the one before',
    file: 'core/device.ts',
    search: 'device.epoch = Math.max(nowMs, device.epoch + 1)',
    replace: 'device.epoch = Math.max(nowMs, device.epoch)',
    tests: ['core/device.test.ts'],
    named: 'the count of live frames',
  },
  {
    breaks: 'the count goes on in a new epoch',
    file: 'core/device.ts',
    search: 'device.n = 0',
    replace: 'device.n += 0',
    tests: ['core/device.test.ts'],
    named: 'the count of live frames',
  },
  {
    breaks: 'a point from the future is the newest',
    file: 'core/device.ts',
    search: 'if (recordedMs > nowMs + LIVE_AHEAD_MS_MAX) continue',
    replace: 'if (recordedMs > nowMs + LIVE_AHEAD_MS_MAX * 1000) continue',
    tests: ['core/device.test.ts'],
    named: 'what goes live',
  },
  {
    breaks: 'BACKFILLED before the commit',
    file: 'sockets/device.ts',
    search: 'kept.live = NONE // Said, and of no use while the frame waits for the writer.',
    replace:
      'if (kept.leftOut !== null) { options.publish(device, encodeBackfilled(nextPosition(device), kept.leftOut.fromMs, kept.leftOut.toMs)); kept.leftOut = null }',
    also: { search: '  encodeAck,\n', replace: '  encodeAck, encodeBackfilled,\n' },
    tests: ['hub/pause.test.ts'],
  },
  {
    breaks: 'live frames before the snapshot',
    file: 'sockets/viewer.ts',
    search: 'audience.enter(viewer)',
    replace: 'audience.enter(viewer); audience.goLive(viewer)',
    tests: ['hub/viewer.test.ts'],
    named: 'postgresql.*(from a snapshot on|larger than a part)',
  },
  {
    breaks: 'whoever has left a subscription is still published to',
    file: 'sockets/audience.ts',
    search: 'if (circle.live.delete(listener)) listener.peer.leave(circle.name)',
    replace: 'circle.live.delete(listener)',
    tests: ['hub/subscription.test.ts'],
  },
  {
    breaks: 'a TICK is never late',
    file: 'core/lane.ts',
    search: "return waitedMs > limits.seenLateMs ? 'late' : 'fine'",
    replace: "return 'fine'",
    tests: ['core/lane.test.ts'],
  },
  {
    breaks: 'a viewer that answers nothing is never closed',
    file: 'core/lane.ts',
    search: "if (waitedMs > limits.seenTimeoutMs) return 'lost'",
    replace: '',
    tests: ['core/lane.test.ts'],
  },
  {
    breaks: 'a client takes a frame that it has for a new one',
    file: 'client/picture.ts',
    search: '(epoch === held.epoch && n <= held.n)) return null',
    replace: '(epoch === held.epoch && n < held.n)) return null',
    tests: ['client/viewer.test.ts'],
    named: 'the count of a device',
  },
  {
    breaks: 'a client ignores a new epoch',
    file: 'client/picture.ts',
    search: 'if (epoch < held.epoch || (epoch === held.epoch && n <= held.n)) return null',
    replace: 'if (epoch <= held.epoch || n <= held.n) return null',
    tests: ['client/viewer.test.ts'],
    named: 'the count of a device',
  },
  {
    breaks: 'a client forgets what it sent, acknowledged or not',
    file: 'client/flight.ts',
    search: 'flying[covered]!.seq <= upToSeq',
    replace: 'flying[covered]!.seq <= upToSeq + 1',
    tests: ['client/device.test.ts'],
    named: 'a point is forgotten only|everything that was not acknowledged',
  },

  // Rights
  {
    breaks: 'a right that is withdrawn closes nothing',
    file: 'rights.ts',
    search: 'if (why !== undefined && held.has(entry)) entry.withdraw(why)',
    replace: "if (why === 'gone' && held.has(entry)) entry.withdraw(why)",
    tests: ['hub/viewer.test.ts'],
    named: 'an admin who is one no longer',
  },
  {
    breaks: 'a user who is deactivated over the API goes on watching',
    file: 'rights.ts',
    search: "if (grant.userId === user.id && !survives(grant, user)) withdraw('refused')",
    replace:
      "if (grant.userId === user.id && !survives(grant, user) && grant.role === 'device') withdraw('refused')",
    tests: ['hub/revocation.test.ts'],
    named: 'over the API \\(postgresql\\)',
  },
  {
    breaks: 'a share sees the other devices of its owner',
    file: 'sockets/viewer.ts',
    search:
      'return deviceIds === null ? grant.deviceIds : grant.deviceIds.filter((id) => deviceIds.includes(id))',
    replace: 'return deviceIds ?? grant.deviceIds',
    tests: ['hub/shares.test.ts'],
    named: 'postgresql.*can be narrowed and never widened',
  },
  {
    breaks: 'a share sees the history',
    file: 'api/caller.ts',
    search: "throw new Problem(403, 'the token of a share is for /v1/live alone')",
    replace: 'return { user: null, isAdmin: true }',
    tests: ['hub/credentialsRoutes.test.ts'],
  },
  {
    breaks: 'a device that is deleted stays live',
    file: 'hub.ts',
    search: 'if (!device.isGone) audience.publish',
    replace: 'audience.publish',
    tests: ['hub/revocation.test.ts'],
    named: 'postgresql.*deleted while it sends',
  },
  {
    breaks: 'a live socket outlives its token',
    file: 'sockets/viewer.ts',
    search: 'if (viewer.expiresMs <= checkedMs)',
    replace: 'if (viewer.expiresMs <= 0)',
    tests: ['hub/viewer.test.ts'],
    named: 'postgresql.*closed with 4451',
  },
  {
    breaks: 'whoever has a token is an admin to the stats socket',
    file: 'sockets/stats.ts',
    search: "if (grant.role !== 'admin') return",
    replace: "if (grant.role === 'share') return",
    tests: ['hub/stats.test.ts'],
    named: 'postgresql.*for admins only',
  },
  {
    breaks: 'Origin is not checked',
    file: 'sockets/server.ts',
    search: "if (route.checksOrigin && origin !== '' && ",
    replace: "if (route.checksOrigin && origin === 'null' && ",
    tests: ['hub/device.test.ts'],
    named: 'postgresql.*refused at the door',
  },
  {
    breaks: 'any version of WebSocket will do',
    file: 'sockets/server.ts',
    search: "return isUpgrade && req.getHeader('sec-websocket-version') === WEBSOCKET_VERSION",
    replace: 'return isUpgrade',
    tests: ['hostile/violations.test.ts'],
    named: 'version (8|14)',
  },
  {
    breaks: 'a wrong key of a known device is welcome',
    file: 'admission.ts',
    search: 'return isKeyHash(keyHash, access?.keyHash ?? null) && access!.isActive',
    replace: 'return isKeyHash(access?.keyHash ?? keyHash, access?.keyHash ?? null) && access!.isActive',
    tests: ['hub/admission.test.ts'],
  },
  {
    breaks: 'a hub whose clock is behind lets devices in',
    file: 'admission.ts',
    search: 'nowMs < newestReceivedMs - BEHIND_MS_MAX',
    replace: 'nowMs < newestReceivedMs - BEHIND_MS_MAX * 60',
    tests: ['hub/admission.test.ts'],
  },

  // Bounds
  {
    breaks: 'an address may have one socket more',
    file: 'core/door.ts',
    search: 'if (neighbour.open >= limits.socketsPerAddressMax)',
    replace: 'if (neighbour.open > limits.socketsPerAddressMax)',
    tests: ['core/door.test.ts'],
  },
  {
    breaks: 'an empty bucket still gives',
    file: 'core/bucket.ts',
    search: 'return bucket.tokens <= 0',
    replace: 'return bucket.tokens < 0',
    tests: ['core/bucket.test.ts'],
  },
  {
    breaks: 'a count is believed before there are bytes for it',
    file: 'protocol/decode.ts',
    search: "  if (count > end - at) throw new Malformed('frame is cut short')\n  return count",
    replace: '  return count',
    tests: ['protocol/hostile.test.ts'],
    named: 'a count that lies',
  },
  {
    breaks: 'bytes after the end of a frame are ignored',
    file: 'protocol/decode.ts',
    search: 'if (at !== end) throw',
    replace: 'if (at > end) throw',
    tests: ['protocol/hostile.test.ts'],
    named: 'bytes after the end',
  },
  {
    breaks: 'what has been answered keeps its parameters',
    file: 'store/connection.ts',
    search: 'Object.assign(query, { args: null, parameters: null })',
    replace: 'Object.assign(query, {})',
    tests: ['store/connection.test.ts'],
    named: 'keeps the parameters of no statement',
  },

  // The past
  {
    breaks: 'a page of points begins with the last point of the page before',
    file: 'store/track.ts',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is code
    search: "where device_id = ${bind(wanted.deviceId, 'int')}\n      and recorded_at > ",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is code
    replace: "where device_id = ${bind(wanted.deviceId, 'int')}\n      and recorded_at >= ",
    tests: ['store/history.test.ts'],
    named: `${EACH_STORE}.*every point once and in order`,
  },
  {
    breaks: 'an export leaves out what is at the edge of a page',
    file: 'store/track.ts',
    search: 'next: points.at(-1)!.place }',
    replace: 'next: points.at(-1)!.place + 1_000 * US_PER_MS }',
    tests: ['store/history.test.ts'],
    named: `${EACH_STORE}.*every point once and in order`,
  },
  {
    breaks: 'a page of devices begins with the last one of the page before',
    file: 'store/devices.ts',
    search: 'where deleted_at is null and id > $1::int and ($2::int is null',
    replace: 'where deleted_at is null and id >= $1::int and ($2::int is null',
    tests: ['hub/api.test.ts'],
    named: 'the API \\(postgresql\\)',
  },
  {
    breaks: 'retention deletes sessions that are running',
    file: 'store/retention.ts',
    search:
      'where s.device_id = $1::int and s.started_at < to_timestamp($2::float8 / 1000)\n    and s.ended_at < to_timestamp($2::float8 / 1000)',
    replace: 'where s.device_id = $1::int and s.started_at < to_timestamp($2::float8 / 1000)',
    tests: ['hub/retention.test.ts'],
    named: 'retention \\(postgresql\\)',
  },
]
