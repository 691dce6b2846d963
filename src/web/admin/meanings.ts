/** What each figure means, in the hub's own words: the HELP lines of /metrics. */

/** Of the process; /metrics has them under other names. */
const OF_THE_PROCESS = {
  eventLoopLagMs: 'How late the event loop is, p99 of the last second',
  residentBytes: 'Memory of the process',
  heapBytes: 'What of it JavaScript uses',
  uptimeS: 'Seconds since the start of the hub',
}

/** By the name that the stats socket uses: `alzy_points_received_total` is `pointsReceived`. */
export function meaningsIn(text: string): Map<string, string> {
  const meanings = new Map<string, string>(Object.entries(OF_THE_PROCESS))
  for (const [, name, help] of text.matchAll(/^# HELP alzy_(\w+) (.+)$/gm)) {
    meanings.set(camel(name!.replace(/_total$/, '')), help!)
  }
  return meanings
}

function camel(name: string): string {
  return name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())
}

/** `pointsReceived` → `points received`. */
export function plain(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
}
