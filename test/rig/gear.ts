/**
 * How a test gets at what takes long to start and is the same for all of them: it asks, and whoever is the first to ask
 * waits until it is there (onDemand.ts). It does not know how anything is started.
 */
import path from 'node:path'
import { inject } from 'vitest'
import type { PostgresFacts } from './cluster.ts'
import { distComplaint, ROOT } from './dist.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    gear: GearPlace
  }
}

/** What a run provides, as plain data. */
export interface GearPlace {
  /** Where to ask. */
  url: string
  /** Why there can be no PostgreSQL here, or null. */
  postgresMissing: string | null
}

export interface Gear {
  /** A cluster with PostGIS, shared by all files. */
  postgres: PostgresFacts
  /** A data directory with the schema in it, to copy. */
  embedded: string
  /** dist/, built anew if it has to be and if this run may. */
  build: null
}

export type GearAnswer<Name extends keyof Gear> = { value: Gear[Name] } | { fault: string }

export function gearPlace(): GearPlace {
  // The types promise it, and a run of the quick tests does not keep that.
  const place = inject('gear') as GearPlace | undefined
  if (place === undefined) throw new Error('this is not one of the quick tests: npm test -- and its path')
  return place
}

/** Rejects when it cannot be started, and from then on for everybody. */
export async function ask<Name extends keyof Gear>(name: Name): Promise<Gear[Name]> {
  const response = await fetch(`${gearPlace().url}/${name}`)
  const answer = (await response.json()) as GearAnswer<Name>
  if ('fault' in answer) throw new Error(answer.fault)
  return answer.value
}

let isBuilt = false

/**
 * Where a file of dist/ is, such as `main.js`. Rejects with one line when dist/ is older than src/ as a test file asks
 * for the first time.
 */
export async function built(file: string): Promise<string> {
  if (!isBuilt) await seeThatItIsBuilt()
  isBuilt = true
  return path.join(ROOT, 'dist', file)
}

async function seeThatItIsBuilt(): Promise<void> {
  if (distComplaint() === null) return
  await ask('build')
  const complaint = distComplaint()
  if (complaint !== null) throw new Error(complaint)
}
