/**
 * A process that records into a file queue until it is killed, and tells its parent the time of each point
 * once it is kept. It holds the newest hundred, and runs the library at the path that it is given.
 */
const [library, path] = process.argv.slice(2)
const { ENTRY_STRIDE, openFileQueue } = await import(library)

const queue = openFileQueue({ path })
const entry = new Float64Array(ENTRY_STRIDE).fill(Number.NaN)
entry[0] = -1
for (let ms = 1; ; ms++) {
  entry[2] = ms
  queue.push(entry)
  if (ms > 100) queue.dropBelow(queue.firstId + 1)
  // The kill comes between two points as well as within one.
  if (ms % 50 === 0) await new Promise((told) => process.send(ms, told))
}
