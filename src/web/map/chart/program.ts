/** Shader programs, and the instanced quads that everything on the map is drawn with. */

export type Gl = WebGL2RenderingContext

/** A field of an instance: so many numbers from a byte on. `bytes`: colours, 0…255 as 0…1. */
export interface Field {
  name: string
  size: 1 | 2 | 4
  offset: number
  bytes?: boolean
}

export function buildProgram(gl: Gl, vertex: string, fragment: string): WebGLProgram {
  const program = gl.createProgram()
  for (const [kind, source] of [
    [gl.VERTEX_SHADER, vertex],
    [gl.FRAGMENT_SHADER, fragment],
  ] as const) {
    const shader = gl.createShader(kind)!
    gl.shaderSource(shader, `#version 300 es\nprecision highp float;\n${source}`)
    gl.compileShader(shader)
    gl.attachShader(program, shader)
    gl.deleteShader(shader)
  }
  gl.linkProgram(program)
  if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) {
    throw new Error(`a shader does not build: ${gl.getProgramInfoLog(program)}`)
  }
  return program
}

/** Draws a quad per instance from `buffer`; the shader has its corner, −1…1, as `corner`. */
export function createQuads(
  gl: Gl,
  program: WebGLProgram,
  corners: WebGLBuffer,
  buffer: WebGLBuffer,
  fields: readonly Field[],
  stride: number,
) {
  const places = fields.map((field) => ({ ...field, at: gl.getAttribLocation(program, field.name) }))
  const vertexArray = gl.createVertexArray()
  gl.bindVertexArray(vertexArray)
  const corner = gl.getAttribLocation(program, 'corner')
  gl.bindBuffer(gl.ARRAY_BUFFER, corners)
  gl.enableVertexAttribArray(corner)
  gl.vertexAttribPointer(corner, 2, gl.FLOAT, false, 0, 0)
  for (const { at } of places) {
    if (at < 0) continue
    gl.enableVertexAttribArray(at)
    gl.vertexAttribDivisor(at, 1)
  }
  gl.bindVertexArray(null)
  const uniforms = new Map<string, WebGLUniformLocation | null>()
  return { use, uniform, draw }

  function use(): void {
    gl.useProgram(program)
  }

  function uniform(name: string): WebGLUniformLocation | null {
    if (!uniforms.has(name)) uniforms.set(name, gl.getUniformLocation(program, name))
    return uniforms.get(name)!
  }

  function draw(first: number, count: number): void {
    if (count <= 0) return
    gl.bindVertexArray(vertexArray)
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer)
    for (const { at, size, offset, bytes } of places) {
      if (at < 0) continue
      const type = bytes ? gl.UNSIGNED_BYTE : gl.FLOAT
      gl.vertexAttribPointer(at, size, type, bytes === true, stride, first * stride + offset)
    }
    gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, count)
    gl.bindVertexArray(null)
  }
}

export function createCorners(gl: Gl): WebGLBuffer {
  const corners = gl.createBuffer()
  gl.bindBuffer(gl.ARRAY_BUFFER, corners)
  gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([-1, -1, 1, -1, -1, 1, 1, 1]), gl.STATIC_DRAW)
  return corners
}
