/**
 * Where the map opens: on the neighbourhood in which most is going on, since devices spread over a continent cannot be
 * seen to move. The rest is said in words.
 */
import { metresBetween, type Place } from './mercator.ts'

export interface Bounds {
  west: number
  south: number
  east: number
  north: number
}

export interface Opening {
  bounds: Bounds
  /** Devices that are not in it. */
  elsewhere: number
}

export interface Candidate extends Place {
  /** Shown as of now. */
  isFresh: boolean
}

const NEIGHBOURHOOD_METRES = 30_000
/** What a fresh device counts against one that is not. */
const FRESH_WEIGHT = 10
/** Of very many devices so many are looked at; each costs a look at all the others. */
const CENTRES_MAX = 200

/** null: there is nothing to open on. */
export function openingOf(candidates: readonly Candidate[]): Opening | null {
  let best: Candidate[] = []
  let bestWeight = 0
  const step = Math.max(1, Math.ceil(candidates.length / CENTRES_MAX))
  for (let i = 0; i < candidates.length; i += step) {
    const near = candidates.filter((one) => metresBetween(candidates[i]!, one) <= NEIGHBOURHOOD_METRES)
    const weight = near.reduce((sum, { isFresh }) => sum + (isFresh ? FRESH_WEIGHT : 1), 0)
    if (weight > bestWeight) [best, bestWeight] = [near, weight]
  }
  const bounds = boundsOf(best)
  return bounds === null ? null : { bounds, elsewhere: candidates.length - best.length }
}

export function boundsOf(places: readonly Place[]): Bounds | null {
  if (places.length === 0) return null
  const bounds = { west: 180, south: 90, east: -180, north: -90 }
  for (const { lat, lng } of places) {
    bounds.west = Math.min(bounds.west, lng)
    bounds.east = Math.max(bounds.east, lng)
    bounds.south = Math.min(bounds.south, lat)
    bounds.north = Math.max(bounds.north, lat)
  }
  return bounds
}
