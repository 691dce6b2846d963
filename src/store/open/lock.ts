/**
 * The lock of a data directory. The embedded database has none of its own, and two processes on one directory
 * corrupt it. The kernel holds the lock, so it never outlives the process, whatever killed it.
 */
import { mkdir, open } from 'node:fs/promises'
import path from 'node:path'
import native from 'fs-native-extensions'
import { StartError } from './startError.ts'

const FILE = 'hub.lock'

/** Throws StartError when another process has the directory. Returns the function that lets go of it. */
export async function lockDirectory(dataDir: string): Promise<() => Promise<void>> {
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw new StartError(`cannot create the data directory ${dataDir}: ${(error as Error).message}`)
  }
  const file = await open(path.join(dataDir, FILE), 'a+', 0o600)
  if (!native.tryLock(file.fd)) {
    await file.close()
    throw new StartError(
      `the data directory ${dataDir} is in use by another hub; stop it, or set ALZY_DATA_DIR to another one`,
    )
  }
  return () => file.close()
}
