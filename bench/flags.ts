/** Command line flags of the benchmarks: each has a default, and its type is that of the default. */
import { parseArgs } from 'node:util'

export interface Flag<Value> {
  value: Value
  says: string
}

type Value = number | boolean | string | readonly number[]
type Flags = Readonly<Record<string, Flag<Value>>>
type ValueOf<V> = V extends number
  ? number
  : V extends boolean
    ? boolean
    : V extends string
      ? string
      : readonly number[]
export type Values<F extends Flags> = { readonly [Name in keyof F]: ValueOf<F[Name]['value']> }

/** `pointsPerFrame` is set by `--points-per-frame 10,100`. Prints help or a problem and ends the process. */
export function readFlags<const F extends Flags>(purpose: string, flags: F): Values<F> {
  const options = Object.fromEntries(
    Object.entries(flags).map(([name, { value }]) => [
      dashed(name),
      { type: typeof value === 'boolean' ? ('boolean' as const) : ('string' as const) },
    ]),
  )
  try {
    const given: Record<string, string | boolean | undefined> = parseArgs({
      options: { ...options, help: { type: 'boolean' as const } },
    }).values
    if (given.help) end(help(purpose, flags), 0)
    return Object.fromEntries(
      Object.entries(flags).map(([name, { value }]) => [name, read(name, value, given[dashed(name)])]),
    ) as Values<F>
  } catch (fault) {
    return end((fault as Error).message, 2)
  }
}

function read(name: string, preset: Value, given: string | boolean | undefined): Value {
  if (given === undefined || typeof given === 'boolean') return given ?? preset
  if (typeof preset === 'string') return given
  return typeof preset === 'number' ? whole(name, given) : given.split(',').map((part) => whole(name, part))
}

function whole(name: string, text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new Error(`--${dashed(name)} takes whole numbers from 1`)
  return Number(text)
}

function help(purpose: string, flags: Flags): string {
  const lines = Object.entries(flags).map(
    ([name, { value, says }]) =>
      `  --${dashed(name).padEnd(20)} ${says} (default ${value === false ? 'off' : value || 'none'})`,
  )
  return [purpose, '', ...lines].join('\n')
}

function dashed(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

function end(message: string, code: number): never {
  process.stderr.write(`${message}\n`)
  process.exit(code)
}
