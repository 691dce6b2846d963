/** Every scenario by the name of its raw lines, in the order in which all of them run, and how long each may take. */

export interface Scenario {
  name: string
  title: string
  /** The module and its flags. */
  module: string
  flags: readonly string[]
  secondsMax: number
}

export const SCENARIOS: readonly Scenario[] = [
  scenario('ingest', 'Points in', 320),
  {
    ...scenario('ingest', 'Points in, embedded database', 240),
    name: 'ingest-embedded',
    flags: ['--embedded'],
  },
  scenario('fanout', 'Fan-out', 480),
  {
    ...scenario('fanout', 'Fan-out to many users', 120),
    name: 'fanout-users',
    flags: ['--users', '100', '--viewers', '3', '--devices', '1'],
  },
  scenario('cost', 'CPU of the hub', 320),
  scenario('latency', 'Latency', 650),
  scenario('connections', 'Idle sockets', 760),
  scenario('growth', 'Growth', 700),
  scenario('slow', 'Slow viewers', 500),
  scenario('hello', 'Reconnect storm', 120),
  scenario('http', 'HTTP', 180),
  scenario('profile', 'Where the time of the hub goes', 400),
]

function scenario(name: string, title: string, secondsMax: number): Scenario {
  return { name, title, module: name, flags: [], secondsMax }
}
