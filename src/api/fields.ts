/** What more than one route takes as text: ids, pages of lists, moments and spans. */
import { z } from 'zod'
import { id } from '../protocol/http.ts'
import { INT32_MAX } from '../protocol/messages.ts'

const PAGE_MAX = 200

export const idText = z
  .string()
  .regex(/^[1-9]\d*$/, 'must be an id')
  .transform(Number)
  .pipe(id)

export const BY_ID = z.strictObject({ id: idText })

/** What a list by id takes: the page after `after`. */
export const PAGE = {
  after: z
    .string()
    .regex(/^\d+$/, 'must be what `next` said')
    .transform(Number)
    .pipe(z.int().max(INT32_MAX))
    .default(0),
  limit: z
    .string()
    .regex(/^\d+$/, 'must be a number')
    .transform(Number)
    .pipe(z.int().min(1).max(PAGE_MAX))
    .default(PAGE_MAX),
}

/** What the next page is after; null when this one was not full. */
export function nextOf(rows: readonly { id: number }[], limit: number): string | null {
  return rows.length === limit ? String(rows.at(-1)!.id) : null
}

/** A moment as requests name it, in any zone: ms since 1970. */
export const momentText = z.iso
  .datetime({ offset: true, message: 'must be a moment such as 2026-01-31T12:00:00Z; write + as %2B' })
  .transform((text) => Date.parse(text))

/** `from` and `to`, both inclusive. */
export const SPAN = { from: momentText.optional(), to: momentText.optional() }

/** For the schema of a query with SPAN. */
export function isForwards({ from, to }: { from?: number | undefined; to?: number | undefined }): boolean {
  return from === undefined || to === undefined || from <= to
}

export const FORWARDS = { path: ['to'], message: 'must not be before `from`' }
