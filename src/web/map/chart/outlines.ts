/**
 * The map under the devices where no style is configured: land and borders of Natural Earth, coarse at once and fine
 * when somebody comes closer. Everything is from the hub itself.
 */
import type { GeoJSONSource, Map as MapLibreMap, StyleSpecification } from 'maplibre-gl'
import { feature, mesh } from 'topojson-client'
import type { GeometryCollection, Topology } from 'topojson-specification'
import fineUrl from 'world-atlas/countries-10m.json?url'
import coarseUrl from 'world-atlas/countries-50m.json?url'
import { systemClock } from '../../../clock.ts'

export interface Palette {
  water: string
  shallow: string
  land: string
  coast: string
  border: string
  /** Of lines on water and land alike; the last is opacity, 0…255. */
  grid: readonly [number, number, number, number]
  /** Around markers. */
  ring: readonly [number, number, number]
  text: string
  name: string
  halo: string
}

export const LIGHT: Palette = {
  water: '#dbe7ea',
  shallow: '#b9d2d8',
  land: '#f4f2ec',
  coast: '#9fb4b8',
  border: '#cfc8b8',
  grid: [70, 110, 122, 46],
  ring: [255, 255, 255],
  text: '#5b6a70',
  name: '#24363f',
  halo: '#f4f2ec',
}

export const DARK: Palette = {
  water: '#0b151b',
  shallow: '#123039',
  land: '#14222b',
  coast: '#335160',
  border: '#2b414d',
  grid: [150, 190, 205, 34],
  ring: [12, 22, 28],
  text: '#8ea4ae',
  name: '#d5e2e8',
  halo: '#0f1b22',
}

/** Country names, each in the middle of its largest part. */
export interface CountryName {
  name: string
  lng: number
  lat: number
  /** Width in degrees, by which a name is shown or not. */
  degrees: number
}

export type Atlas = Topology<{ countries: GeometryCollection<{ name: string }> }>

const FINE_ZOOM = 5
/** At first there is more to do than to draw every bay. */
const FINE_AFTER_MS = 2_500
/** Pixels. With 0.2 the fine outline of Asia had more corners on one tile of the world than a buffer can number. */
const TOLERANCE = 0.5
const NOTHING = { type: 'FeatureCollection' as const, features: [] }

export function outlineStyle(palette: Palette): StyleSpecification {
  return {
    version: 8,
    sources: {
      land: { type: 'geojson', data: NOTHING, tolerance: TOLERANCE, attribution: 'Natural Earth' },
      borders: { type: 'geojson', data: NOTHING, tolerance: TOLERANCE },
    },
    layers: [
      { id: 'water', type: 'background', paint: { 'background-color': palette.water } },
      {
        id: 'shallows',
        type: 'line',
        source: 'land',
        paint: { 'line-color': palette.shallow, 'line-width': 14, 'line-blur': 12, 'line-opacity': 0.8 },
      },
      {
        id: 'land',
        type: 'fill',
        source: 'land',
        paint: { 'fill-color': palette.land, 'fill-antialias': false },
      },
      {
        id: 'coast',
        type: 'line',
        source: 'land',
        paint: { 'line-color': palette.coast, 'line-width': 0.8 },
      },
      {
        id: 'borders',
        type: 'line',
        source: 'borders',
        paint: { 'line-color': palette.border, 'line-width': 1.1, 'line-dasharray': [3, 2] },
      },
    ],
  }
}

export function repaint(map: MapLibreMap, palette: Palette): void {
  map.setPaintProperty('water', 'background-color', palette.water)
  map.setPaintProperty('shallows', 'line-color', palette.shallow)
  map.setPaintProperty('land', 'fill-color', palette.land)
  map.setPaintProperty('coast', 'line-color', palette.coast)
  map.setPaintProperty('borders', 'line-color', palette.border)
}

/** Asked for before the map is ready for it. Rejects when the hub is away. */
export async function fetchOutlines(detail: 'coarse' | 'fine'): Promise<Atlas> {
  return (await (await fetch(detail === 'coarse' ? coarseUrl : fineUrl)).json()) as Atlas
}

/** Fills the sources of `outlineStyle`. `named` hears the countries. */
export function fillOutlines(
  map: MapLibreMap,
  coarse: Promise<Atlas>,
  named: (names: CountryName[]) => void,
): void {
  let isFine = false
  coarse
    .then(fill)
    .catch(() => {
      // Without land there are still devices and the graticule.
    })
    .then(() =>
      systemClock.after(FINE_AFTER_MS, () => {
        map.on('zoomend', refine)
        refine()
      }),
    )

  function refine(): void {
    if (isFine || map.getZoom() < FINE_ZOOM) return
    isFine = true
    fetchOutlines('fine')
      .then(fill)
      .catch(() => {
        // The coarse ones stay; the next zoom asks again.
        isFine = false
      })
  }

  function fill(atlas: Atlas): void {
    map.getSource<GeoJSONSource>('land')?.setData({ type: 'FeatureCollection', features: landOf(atlas) })
    map.getSource<GeoJSONSource>('borders')?.setData({
      type: 'Feature',
      properties: {},
      geometry: mesh(atlas, atlas.objects.countries, (a, b) => a !== b),
    })
    named(namesOf(atlas))
  }
}

/** A feature for each island: all of them as one are more than a buffer of the map holds. */
function landOf(atlas: Atlas): GeoJSON.Feature[] {
  const { land } = atlas.objects as unknown as { land: GeometryCollection }
  const whole = feature(atlas, land) as GeoJSON.FeatureCollection | GeoJSON.Feature
  const features = whole.type === 'FeatureCollection' ? whole.features : [whole]
  return features.flatMap(({ geometry }) => {
    const polygons =
      geometry.type === 'MultiPolygon'
        ? geometry.coordinates
        : geometry.type === 'Polygon'
          ? [geometry.coordinates]
          : []
    return polygons.map(
      (polygon): GeoJSON.Feature => ({
        type: 'Feature',
        properties: {},
        geometry: { type: 'Polygon', coordinates: polygon.map(unwrapped) },
      }),
    )
  })
}

const POLE_LAT = -85.06

/** A ring that crosses the antimeridian goes on beyond 180° instead of across the whole map. */
function unwrapped(ring: GeoJSON.Position[]): GeoJSON.Position[] {
  let turns = 0
  let last = ring[0]![0]!
  const whole = ring.map(([lng, lat]): GeoJSON.Position => {
    if (lng! - last > 180) turns -= 360
    else if (lng! - last < -180) turns += 360
    last = lng!
    return [lng! + turns, lat!]
  })
  // Once around the pole, as the Antarctic coast: the way back is along the edge of the map.
  if (turns !== 0) whole.push([whole.at(-1)![0]!, POLE_LAT], [whole[0]![0]!, POLE_LAT], whole[0]!)
  return whole
}

function namesOf(atlas: Atlas): CountryName[] {
  return feature(atlas, atlas.objects.countries).features.flatMap(({ geometry, properties }) => {
    const rings =
      geometry.type === 'Polygon'
        ? [geometry.coordinates[0]!]
        : geometry.type === 'MultiPolygon'
          ? geometry.coordinates.map((polygon) => polygon[0]!)
          : []
    const boxes = rings
      .map((ring) => boxOf(unwrapped(ring)))
      .sort((a, b) => b.degrees * b.height - a.degrees * a.height)
    const largest = boxes[0]
    return largest === undefined ? [] : [{ name: properties.name, ...largest }]
  })
}

function boxOf(ring: GeoJSON.Position[]) {
  let [west, south, east, north] = [540, 90, -540, -90]
  for (const [lng, lat] of ring as [number, number][]) {
    west = Math.min(west, lng)
    east = Math.max(east, lng)
    south = Math.min(south, lat)
    north = Math.max(north, lat)
  }
  return { lng: (west + east) / 2, lat: (south + north) / 2, degrees: east - west, height: north - south }
}
