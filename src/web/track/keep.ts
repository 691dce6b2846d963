/** What this phone remembers of being a device: its key, the secret of a pairing under way, the session it records. */

export interface Identity {
  deviceId: number
  deviceKey: string
}

export interface OpenSession {
  /** Names it, and is when it started. */
  startedMs: number
  status: 'active' | 'paused'
  /** Points recorded in it so far, and those that the hub refused. */
  recorded: number
  refused: number
  /** Metres. */
  distanceM: number
}

export interface Secret {
  pairingToken: string
  secret: string
}

export type Keep = ReturnType<typeof createKeep>

export function createKeep(storage: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>) {
  return {
    identity: place<Identity>('alzy.device'),
    session: place<OpenSession>('alzy.session'),
    secret: place<Secret>('alzy.secret'),
  }

  function place<T>(key: string) {
    return { read, write, clear: () => storage.removeItem(key) }

    function read(): T | null {
      const text = storage.getItem(key)
      return text === null ? null : (JSON.parse(text) as T)
    }

    function write(value: T): void {
      storage.setItem(key, JSON.stringify(value))
    }
  }
}
