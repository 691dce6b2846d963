/** Loaded before a process whose memory is measured: a signal makes it give back what nobody refers to. */
import { COLLECT_SIGNAL } from './processes.ts'

process.on(COLLECT_SIGNAL, () => {
  // Once for objects, and once for what their finalizers let go.
  for (let i = 0; i < 2; i++) globalThis.gc?.()
})
