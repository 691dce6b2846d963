/**
 * Running a statement, as everybody sees it who has one to run: what it takes and what comes back. It knows no
 * driver and no connection.
 */

/** Runs one statement. Rejects with the driver's error, whose `code` is a SQLSTATE or a connection fault. */
export type Run = (text: string, parameters?: readonly Parameter[]) => Promise<Result>
export type Parameter = string | number | boolean | null

export interface Result extends Array<Record<string, unknown>> {
  /** Rows that the statement returned or changed. */
  count: number
}
