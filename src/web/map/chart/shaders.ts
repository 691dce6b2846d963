/**
 * What is drawn per instance: lines, accuracy circles and markers. Places are Mercator units relative to the centre of
 * the map, since single precision of the whole world is metres wide. `pixel` is a CSS pixel in clip space.
 */

const LINE_BODY = `
  vec4 p = matrix * vec4(a, 0.0, 1.0);
  vec4 q = matrix * vec4(b, 0.0, 1.0);
  vec2 along = (q.xy / q.w - p.xy / p.w) / pixel;
  float reach = length(along);
  vec2 forward = reach > 0.0 ? along / reach : vec2(1.0, 0.0);
  vec2 side = vec2(-forward.y, forward.x);
  float half_width = width * 0.5 + 1.0;
  vec4 end = corner.x < 0.0 ? p : q;
  gl_Position = end + vec4((side * corner.y * half_width) * pixel * end.w, 0.0, 0.0);
  if (reach == 0.0) gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
  across = corner.y * half_width;
`

const LINE_HEAD = `
in vec2 corner;
in vec4 color;
uniform mat4 matrix;
uniform vec2 pixel;
uniform float width;
out float across;
out vec4 tint;
`

/** The way behind a marker, from its last point to where it is. */
export const WAKE_VERTEX = `${LINE_HEAD}
in vec2 behind;
in vec2 place;
in float state;
void main() {
  vec2 a = behind;
  vec2 b = place;
  ${LINE_BODY}
  tint = vec4(color.rgb, state > 1.5 ? 0.0 : 0.9);
}`

/** A stretch of a trail, older ones fainter. */
export const TRAIL_VERTEX = `${LINE_HEAD}
in vec4 from_split;
in vec4 to_split;
in float born;
uniform vec4 centre_split;
uniform float now;
uniform float lifetime;
vec2 relative(vec4 split) {
  return (split.xy - centre_split.xy) + (split.zw - centre_split.zw);
}
void main() {
  vec2 a = relative(from_split);
  vec2 b = relative(to_split);
  ${LINE_BODY}
  float age = clamp((now - born) / lifetime, 0.0, 1.0);
  tint = vec4(color.rgb, 0.9 * (1.0 - age) * (1.0 - age));
}`

/** A line of the graticule. */
export const GRID_VERTEX = `${LINE_HEAD}
in vec2 behind;
in vec2 place;
void main() {
  vec2 a = behind;
  vec2 b = place;
  ${LINE_BODY}
  tint = color;
}`

export const LINE_FRAGMENT = `
in float across;
in vec4 tint;
uniform float width;
out vec4 result;
void main() {
  float cover = clamp(width * 0.5 + 0.5 - abs(across), 0.0, 1.0);
  float alpha = tint.a * cover;
  result = vec4(tint.rgb * alpha, alpha);
}`

/** Within how many metres the device is, where that can be seen. */
export const ACCURACY_VERTEX = `
in vec2 corner;
in vec2 place;
in vec4 color;
in float accuracy;
in float state;
uniform mat4 matrix;
uniform vec2 pixel;
out vec2 spot;
out vec4 tint;
out float radius;
void main() {
  vec4 middle = matrix * vec4(place, 0.0, 1.0);
  vec4 edge = matrix * vec4(place + vec2(accuracy, 0.0), 0.0, 1.0);
  radius = length((edge.xy / edge.w - middle.xy / middle.w) / pixel);
  spot = corner * (radius + 1.0);
  gl_Position = middle + vec4(spot * pixel * middle.w, 0.0, 0.0);
  if (!(radius > 12.0) || radius > 4000.0 || state > 1.5) gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
  tint = color;
}`

export const ACCURACY_FRAGMENT = `
in vec2 spot;
in vec4 tint;
in float radius;
out vec4 result;
void main() {
  float distance = length(spot) - radius;
  float inside = clamp(0.5 - distance, 0.0, 1.0);
  float rim = clamp(1.2 - abs(distance + 0.6), 0.0, 1.0);
  float alpha = inside * 0.10 + rim * 0.35;
  result = vec4(tint.rgb * alpha, alpha);
}`

/**
 * A drop that points where the device goes; a dot when it stands still; a ring, never filled, when it is not known
 * to be there any more (state: 0 moving, 1 still, 2 stale, 3 offline).
 */
export const MARKER_VERTEX = `
in vec2 corner;
in vec2 place;
in vec4 color;
in float heading;
in float state;
in float size;
uniform mat4 matrix;
uniform vec2 pixel;
uniform float shade;
out vec2 spot;
out vec4 tint;
out float kind;
out float scale;
void main() {
  vec4 middle = matrix * vec4(place, 0.0, 1.0);
  // No larger than what is drawn: of thousands every pixel counts.
  float reach = (state < 0.5 ? 14.5 : 9.5) + shade;
  vec2 offset = corner * reach * size;
  gl_Position = middle + vec4(offset * pixel * middle.w, 0.0, 0.0);
  float turn = heading < -1.0 ? 0.0 : heading;
  float c = cos(turn);
  float s = sin(turn);
  spot = vec2(offset.x * c - offset.y * s, offset.x * s + offset.y * c) / size;
  tint = color;
  scale = size;
  kind = state < 0.5 && heading < -1.0 ? 1.0 : state;
}`

export const MARKER_FRAGMENT = `
in vec2 spot;
in vec4 tint;
in float kind;
in float scale;
uniform vec3 ring;
uniform float shade;
out vec4 result;

/** Distance to the hull of a circle around the origin and a smaller one ahead of it. */
float drop(vec2 p, float large, float small, float ahead) {
  p.x = abs(p.x);
  float b = (large - small) / ahead;
  float a = sqrt(1.0 - b * b);
  float k = dot(p, vec2(-b, a));
  if (k < 0.0) return length(p) - large;
  if (k > a * ahead) return length(p - vec2(0.0, ahead)) - small;
  return dot(p, vec2(a, b)) - large;
}

vec4 over(vec4 top, vec4 below) {
  return top + below * (1.0 - top.a);
}

vec4 paint(vec3 color, float alpha) {
  return vec4(color * alpha, alpha);
}

void main() {
  float soft = 1.0 / scale;
  float shape = kind < 0.5 ? drop(spot, 6.6, 1.2, 10.5) : length(spot) - (kind > 2.5 ? 4.6 : 6.2);
  float inside = clamp(0.5 - shape / soft, 0.0, 1.0);
  float outline = clamp(0.5 - (shape - 2.0) / soft, 0.0, 1.0);
  float shadow = shade > 0.0 ? 0.28 * (1.0 - smoothstep(0.0, shade, shape - 1.0)) : 0.0;
  vec4 pixel = paint(vec3(0.02, 0.06, 0.09), kind > 1.5 ? 0.0 : shadow);
  pixel = over(paint(ring, outline * (kind > 2.5 ? 0.8 : 1.0)), pixel);
  if (kind < 1.5) {
    pixel = over(paint(tint.rgb, inside), pixel);
  } else {
    float band = clamp(0.5 - (abs(shape + 1.0) - 1.1) / soft, 0.0, 1.0);
    pixel = over(paint(tint.rgb, band * (kind > 2.5 ? 0.62 : 0.95)), pixel);
  }
  result = pixel;
}`
