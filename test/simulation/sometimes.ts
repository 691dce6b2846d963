/** What has to happen at least once in a run: a fault or a rare branch that never came proves nothing. */

export const SOMETIMES = [
  // The store
  'store refuses',
  'statement lost before the commit',
  'committed, and nobody told the hub',
  'committed after it was tried again',
  'statement too slow',
  'less written at once to a narrow store',
  'batch of several rows bisected',
  'rows tried again that were stored',
  'points refused by the database',
  'session refused by the database',
  'sessions vanish from the store',
  'session created again after a foreign key',
  // Hubs and clocks
  'hub killed',
  'hub stopped',
  'GOAWAY heard',
  'hub clock jumps ahead',
  'hub clock jumps back',
  'device clock jumps',
  'HELLO refused for a clock that is behind',
  // Connections
  'link cut',
  'link half-open',
  'HELLO never sent',
  'HELLO lost its socket',
  'takeover',
  'takeover with frames in flight',
  'device closes for want of an ACK',
  'PAUSE heard',
  'BYE answered',
  'no credit left',
  'window exceeded',
  'window raised',
  'seq went backwards',
  'device does not read',
  'key trusted from memory',
  'device suspected',
  'device closed for refused rows',
  'other content for a stored point',
  // Points and sessions
  'point resent',
  'point rejected for its coordinate',
  'point rejected for the future',
  'frame rejected for its session',
  'point ahead of the clock',
  'automatic session made',
  'automatic session split',
  'automatic session ended',
  'session claimed',
  'session paused',
  'session ended by its device',
  'session ended by the sweep',
  'sweep finds the store away',
  'device forgotten by the fleet',
  // Viewers
  'viewer live',
  'status of a session compared',
  'viewer demoted',
  'viewer returned',
  'viewer closed for being slow',
  'frames dropped for a viewer',
  'viewer finds a hole',
  'RESYNC sent',
  'snapshot in several parts',
  'BACKFILLED heard',
  'presence heard',
  'DEVICE heard',
  'GONE heard',
  'welcome device refused',
  'user deactivated',
  'device withdrawn',
  'device withdrawn behind the back of the hub',
  'device withdrawn with frames in flight',
  'share ended',
  'admin demoted',
  'AUTH accepted',
] as const

export type Name = (typeof SOMETIMES)[number]
export type Sometimes = ReturnType<typeof createSometimes>

export function createSometimes() {
  const counts = Object.fromEntries(SOMETIMES.map((name) => [name, 0])) as Record<Name, number>
  return { note, counts, never }

  function note(name: Name, times = 1): void {
    counts[name] += times
  }

  function never(): Name[] {
    return SOMETIMES.filter((name) => counts[name] === 0)
  }
}
