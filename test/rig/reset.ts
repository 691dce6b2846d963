/** The end of a TCP connection as a machine that lost its power leaves it. */
import type { Socket } from 'node:net'

/**
 * Closes with a reset; a Unix socket knows none. Of a connection whose own end is under way Node would refuse it with
 * EINVAL and then never close it, so that one closes without.
 */
export function reset(socket: Socket): void {
  const isEnding = socket.writableEnded && !socket.writableFinished
  if (isEnding) return void socket.destroy()
  try {
    socket.resetAndDestroy()
  } catch {
    socket.destroy()
  }
}
