/** The way of one session as a line of the map: all of it, and the part that a replay has played. */
import type { GeoJSONSource, Map as MapLibreMap } from 'maplibre-gl'

export type Way = readonly (readonly [lng: number, lat: number])[]

/** Points between which nobody knows the way are in different ways. */
export interface DrawnWays {
  whole: readonly Way[]
  played: readonly Way[]
  color: string
  casing: string
}

const WHOLE = 'session'
const PLAYED = 'session-played'

export function addLines(map: MapLibreMap): void {
  for (const id of [WHOLE, PLAYED]) map.addSource(id, { type: 'geojson', data: dataOf([]) })
  const layout = { 'line-cap': 'round', 'line-join': 'round' } as const
  map.addLayer({ id: 'session-casing', type: 'line', source: WHOLE, layout, paint: { 'line-width': 7 } })
  map.addLayer({ id: WHOLE, type: 'line', source: WHOLE, layout, paint: { 'line-width': 4 } })
  map.addLayer({ id: PLAYED, type: 'line', source: PLAYED, layout, paint: { 'line-width': 4.5 } })
}

export function drawLines(map: MapLibreMap, { whole, played, color, casing }: DrawnWays): void {
  const isReplay = played.length > 0
  map.setPaintProperty('session-casing', 'line-color', casing)
  map.setPaintProperty(WHOLE, 'line-color', color)
  map.setPaintProperty(WHOLE, 'line-opacity', isReplay ? 0.38 : 0.8)
  map.setPaintProperty(PLAYED, 'line-color', color)
  map.getSource<GeoJSONSource>(WHOLE)?.setData(dataOf(whole))
  map.getSource<GeoJSONSource>(PLAYED)?.setData(dataOf(played))
}

function dataOf(ways: readonly Way[]): GeoJSON.Feature {
  return {
    type: 'Feature',
    properties: {},
    geometry: {
      type: 'MultiLineString',
      coordinates: ways.filter((way) => way.length > 1).map((way) => way.map(([lng, lat]) => [lng, lat])),
    },
  }
}
