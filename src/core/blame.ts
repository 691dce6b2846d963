/** Whose fault a failed statement is, from the driver's error code or SQLSTATE, and what may be said of it. */

export type Blame =
  /** The database is away or busy; the outcome is unknown. Try the same again. */
  | 'database'
  /** Some row cannot be stored. Find it. */
  | 'row'
  /** A row that this one refers to is gone, as after a failover. */
  | 'reference'
  /** Our statement or our schema is wrong. Stop loudly. */
  | 'us'

const FOREIGN_KEY = '23503'

/** `code` is undefined when nothing but a message is known; that is never the row's fault. */
export function blame(code: string | undefined): Blame {
  if (code === FOREIGN_KEY) return 'reference'
  // A SQLSTATE has five characters and a digit among them; EPIPE has five and none.
  if (code === undefined || !/^(?=.*\d)[0-9A-Z]{5}$/.test(code)) return 'database'
  // 25006 is a read-only database, as after a failover to a replica; 28 and 3D a password or a database
  // that is being replaced, 58 the server's disk.
  if (/^(08|25006|28|3D|40|53|55|57|58)/.test(code)) return 'database'
  return /^2[123]/.test(code) ? 'row' : 'us'
}

/** How long to wait before a statement is tried again: 0.1 s doubling to 5 s, with jitter of a half. */
export function retryDelayMs(attempt: number, chance: number): number {
  const ceiling = Math.min(5_000, 100 * 2 ** Math.min(attempt, 10))
  return ceiling / 2 + (ceiling / 2) * chance
}

/** The driver's error code: a SQLSTATE, ECONNREFUSED, CONNECTION_CLOSED, WATCHDOG … */
export function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' ? code : undefined
}

/**
 * What may be said of a database error in a log. The whole error carries parameters, and its detail the
 * values of a row, which are positions of people.
 */
export function describeError(error: unknown): { code?: string; message: string } {
  const text = error instanceof Error ? error.message : 'unknown error'
  const code = codeOf(error)
  // A fault of a value quotes the value.
  const message = code?.startsWith('22') ? text.replace(/".*"/s, '"…"') : text
  return code === undefined ? { message } : { code, message }
}
