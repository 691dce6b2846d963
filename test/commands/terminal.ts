/** A terminal that remembers what was written to it. */
import { Writable } from 'node:stream'

export function createTestIo() {
  const texts = { stdout: '', stderr: '' }
  const stop = new AbortController()
  return {
    io: { stdout: stream('stdout'), stderr: stream('stderr'), signal: stop.signal },
    texts,
    /** Ctrl-C. */
    interrupt: () => stop.abort(),
  }

  function stream(name: keyof typeof texts): Writable {
    return new Writable({
      write(chunk, _encoding, done) {
        texts[name] += chunk
        done()
      },
    })
  }
}
