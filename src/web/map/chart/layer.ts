/**
 * Everything that moves, drawn by one layer of the map: graticule, accuracy circles, trails and markers. The arrays
 * come from motion.ts and are handed to the graphics card as they are, once a frame.
 */
import type { CustomLayerInterface, CustomRenderMethodInput } from 'maplibre-gl'
import type { Motion } from '../motion.ts'
import type { GridLine } from './graticule.ts'
import { buildProgram, createCorners, createQuads, type Field, type Gl } from './program.ts'
import {
  ACCURACY_FRAGMENT,
  ACCURACY_VERTEX,
  GRID_VERTEX,
  LINE_FRAGMENT,
  MARKER_FRAGMENT,
  MARKER_VERTEX,
  TRAIL_VERTEX,
  WAKE_VERTEX,
} from './shaders.ts'
import { TRAIL_LIFETIME_MS, TRAIL_STRIDE, TRAILS_BYTES, type Trails } from './trails.ts'

/** What the layer shows of a device beside its place. */
export interface Look {
  color: readonly [number, number, number]
  /** 0 moving, 1 still, 2 stale, 3 offline. */
  state: number
  /** Mercator units. */
  accuracy: number
  size: number
}

export interface LayerOptions {
  motion: Motion
  trails: Trails
  looks: readonly (Look | null)[]
  /** Drawn last, above the others. */
  topSlot: () => number | null
  /** While a session is replayed, nothing else is drawn. */
  onlySlot: () => number | null
  grid: () => readonly GridLine[]
  /** Centre of the view, Mercator units. */
  centre: () => { x: number; y: number }
  colors: () => { ring: readonly number[]; grid: readonly number[] }
  /** CSS pixels. */
  viewport: () => { width: number; height: number }
  markerScale: () => number
  now: () => number
}

const STRIDE = 36
const FLOATS = STRIDE / 4
const FIELDS: readonly Field[] = [
  { name: 'place', size: 2, offset: 0 },
  { name: 'behind', size: 2, offset: 8 },
  { name: 'heading', size: 1, offset: 16 },
  { name: 'state', size: 1, offset: 20 },
  { name: 'accuracy', size: 1, offset: 24 },
  { name: 'size', size: 1, offset: 28 },
  { name: 'color', size: 4, offset: 32, bytes: true },
]
const TRAIL_FIELDS: readonly Field[] = [
  { name: 'from_split', size: 4, offset: 0 },
  { name: 'to_split', size: 4, offset: 16 },
  { name: 'born', size: 1, offset: 32 },
  { name: 'color', size: 4, offset: 36, bytes: true },
]
const LINE_WIDTH = 3
const GRID_WIDTH = 1
const NO_HEADING = -10
/** So many devices have no shadows, and are drawn smaller. */
const CROWD = 1_000
const CROWD_SCALE = 0.8
const SHADE_PIXELS = 6
const RADIANS = Math.PI / 180

export function createDeviceLayer(options: LayerOptions): CustomLayerInterface {
  const { motion, trails, looks } = options
  let floats = new Float32Array(0)
  let colors = new Uint8Array(0)
  let draw: ((input: CustomRenderMethodInput) => void) | null = null
  return {
    id: 'devices',
    type: 'custom',
    renderingMode: '2d',
    onAdd: (_map, gl) => {
      draw = prepare(gl)
    },
    onRemove: () => {
      draw = null
    },
    render: (_gl, input) => draw?.(input),
  }

  function prepare(gl: Gl) {
    const corners = createCorners(gl)
    const devices = gl.createBuffer()
    const lines = gl.createBuffer()
    const stretches = gl.createBuffer()
    gl.bindBuffer(gl.ARRAY_BUFFER, stretches)
    gl.bufferData(gl.ARRAY_BUFFER, TRAILS_BYTES, gl.DYNAMIC_DRAW)
    // The context may be a new one, which has seen nothing of the trails.
    trails.clear()
    const quads = (
      vertex: string,
      fragment: string,
      buffer: WebGLBuffer,
      fields: readonly Field[],
      stride: number,
    ) => createQuads(gl, buildProgram(gl, vertex, fragment), corners, buffer, fields, stride)
    const grid = quads(GRID_VERTEX, LINE_FRAGMENT, lines, FIELDS, STRIDE)
    const trail = quads(TRAIL_VERTEX, LINE_FRAGMENT, stretches, TRAIL_FIELDS, TRAIL_STRIDE)
    const wake = quads(WAKE_VERTEX, LINE_FRAGMENT, devices, FIELDS, STRIDE)
    const accuracy = quads(ACCURACY_VERTEX, ACCURACY_FRAGMENT, devices, FIELDS, STRIDE)
    const marker = quads(MARKER_VERTEX, MARKER_FRAGMENT, devices, FIELDS, STRIDE)

    return ({ defaultProjectionData }: CustomRenderMethodInput): void => {
      const centre = options.centre()
      const matrix = movedTo(defaultProjectionData.mainMatrix, centre)
      const { width, height } = options.viewport()
      const nowMs = options.now()
      gl.disable(gl.DEPTH_TEST)
      gl.disable(gl.STENCIL_TEST)
      gl.disable(gl.CULL_FACE)
      gl.enable(gl.BLEND)
      gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA)
      const begin = (one: ReturnType<typeof quads>, lineWidth = 0) => {
        one.use()
        gl.uniformMatrix4fv(one.uniform('matrix'), false, matrix)
        gl.uniform2f(one.uniform('pixel'), 2 / width, 2 / height)
        if (lineWidth > 0) gl.uniform1f(one.uniform('width'), lineWidth)
      }

      const gridCount = fillGrid(gl, lines, centre)
      begin(grid, GRID_WIDTH)
      grid.draw(0, gridCount)

      trails.upload(gl, stretches)
      begin(trail, LINE_WIDTH)
      const [xHigh, yHigh] = [Math.fround(centre.x), Math.fround(centre.y)]
      gl.uniform4f(trail.uniform('centre_split'), xHigh, yHigh, centre.x - xHigh, centre.y - yHigh)
      gl.uniform1f(trail.uniform('now'), nowMs / 1_000)
      gl.uniform1f(trail.uniform('lifetime'), TRAIL_LIFETIME_MS / 1_000)
      if (options.onlySlot() === null) {
        for (const { first, count } of trails.ranges(nowMs)) trail.draw(first, count)
      }

      const { count, top } = fillDevices(gl, devices, centre)
      begin(wake, LINE_WIDTH)
      wake.draw(0, count)
      begin(accuracy)
      accuracy.draw(0, count)
      begin(marker)
      gl.uniform3fv(
        marker.uniform('ring'),
        options.colors().ring.map((byte) => byte / 255),
      )
      gl.uniform1f(marker.uniform('shade'), count > CROWD ? 0 : SHADE_PIXELS)
      marker.draw(0, count)
      if (top !== null) marker.draw(top, 1)
    }
  }

  /** Writes the devices that are somewhere; returns how many, and which of them goes on top. */
  function fillDevices(gl: Gl, buffer: WebGLBuffer, centre: { x: number; y: number }) {
    if (floats.length < motion.slots * FLOATS) {
      floats = new Float32Array(motion.slots * FLOATS * 2)
      colors = new Uint8Array(floats.buffer)
    }
    const { x, y, behindX, behindY, heading } = motion
    const topSlot = options.topSlot()
    const onlySlot = options.onlySlot()
    const scale = options.markerScale() * (motion.slots > CROWD ? CROWD_SCALE : 1)
    let top: number | null = null
    let count = 0
    for (let slot = 0; slot < motion.slots; slot++) {
      const look = looks[slot]
      if (look == null || Number.isNaN(x[slot]!) || (onlySlot !== null && slot !== onlySlot)) continue
      const at = count * FLOATS
      floats[at] = x[slot]! - centre.x
      floats[at + 1] = y[slot]! - centre.y
      floats[at + 2] = behindX[slot]! - centre.x
      floats[at + 3] = behindY[slot]! - centre.y
      const degrees = heading[slot]!
      floats[at + 4] = Number.isNaN(degrees) ? NO_HEADING : (((degrees % 360) + 360) % 360) * RADIANS
      floats[at + 5] = look.state
      floats[at + 6] = look.accuracy
      floats[at + 7] = look.size * scale
      const c = (at + 8) * 4
      colors[c] = look.color[0]
      colors[c + 1] = look.color[1]
      colors[c + 2] = look.color[2]
      colors[c + 3] = 255
      if (slot === topSlot) top = count
      count += 1
    }
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer)
    gl.bufferData(gl.ARRAY_BUFFER, floats, gl.STREAM_DRAW, 0, count * FLOATS)
    return { count, top }
  }

  function fillGrid(gl: Gl, buffer: WebGLBuffer, centre: { x: number; y: number }): number {
    const lines = options.grid()
    const values = new Float32Array(lines.length * FLOATS)
    const bytes = new Uint8Array(values.buffer)
    const color = options.colors().grid
    for (const [i, { x0, y0, x1, y1 }] of lines.entries()) {
      values.set([x0 - centre.x, y0 - centre.y, x1 - centre.x, y1 - centre.y], i * FLOATS)
      for (let c = 0; c < 4; c++) bytes[i * STRIDE + 32 + c] = color[c]!
    }
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer)
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.STREAM_DRAW)
    return lines.length
  }
}

/** The matrix for places relative to `centre`, moved in double precision. */
function movedTo(matrix: ArrayLike<number>, { x, y }: { x: number; y: number }): Float32Array {
  const moved = Float32Array.from(matrix)
  for (let row = 0; row < 4; row++) {
    moved[12 + row] = matrix[row]! * x + matrix[4 + row]! * y + matrix[12 + row]!
  }
  return moved
}
