/**
 * Running a statement, as everybody sees it who has one to run: what it takes, what comes back, and what may be said of
 * its error. It knows no driver and no connection.
 */

/** Runs one statement. Rejects with the driver's error, whose `code` is a SQLSTATE or a connection fault. */
export type Run = (text: string, parameters?: readonly Parameter[]) => Promise<Result>
export type Parameter = string | number | boolean | null

export interface Result extends Array<Record<string, unknown>> {
  /** Rows that the statement returned or changed. */
  count: number
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
