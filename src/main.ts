#!/usr/bin/env node
/**
 * The command line: one function per command. The only file that touches `process`: environment, arguments,
 * streams, signals, exit codes.
 */
import { setFlagsFromString } from 'node:v8'
import { Command, InvalidArgumentError, Option } from 'commander'
import { systemClock } from './clock.ts'
import { settingsHelp } from './commands/settings.ts'
import { ConfigError } from './config.ts'
import {
  DEVICE_COLORS,
  DEVICE_PLATFORMS,
  type DeviceColor,
  type DevicePlatform,
  type UserRole,
} from './protocol/messages.ts'
import { localUrl } from './sockets/tls.ts'

const { ALZY_TLS_CERT: certPath, ALZY_TLS_KEY: keyPath = '' } = process.env
/** Where the settings of a hub with TLS are in the environment, commands reach it by them as well. */
const DEFAULT_URL = certPath
  ? localUrl(process.env.ALZY_HOST || '127.0.0.1', Number(process.env.ALZY_PORT) || 9001, {
      certPath,
      keyPath,
    })
  : 'http://127.0.0.1:9001'
const DEFAULT_DATA_DIR = './.alzy'
const SECOND_SIGNAL_EXIT = 130
const SECONDS_IN: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 }

// Read by uWebSockets.js when it loads: a request that comes in pieces may have 4 096 bytes of headers with it, and a
// token of an OpenID issuer is as large as that.
process.env.UWS_HTTP_MAX_HEADERS_SIZE ??= '16384'

// What waits for the database outlives a collection or two whenever that is late, and V8 then makes such objects old at
// birth, for good: dead a moment later, they keep all that they point to until everything is collected.
setFlagsFromString('--no-allocation-site-pretenuring')

const stopping = new AbortController()
const stdout = (line: string) => void process.stdout.write(`${line}\n`)
const stderr = (line: string) => void process.stderr.write(`${line}\n`)

const program = new Command('alzy')
  .description('Self-hosted real-time tracking hub')
  .showHelpAfterError('(alzy --help says more)')
  .configureOutput({ writeErr: (text) => stderr(text.trimEnd()) })

program
  .command('serve')
  .description('run the hub; settings are environment variables')
  .addHelpText('after', () => `\n${settingsHelp()}`)
  .action(async () => {
    const { serve } = await import('./commands/serve.ts')
    await end(serve({ env: process.env, stderr, signal: stopping.signal }))
  })

program
  .command('demo')
  .description('run the hub with a demo user and recorded tracks replayed as live devices')
  .action(async () => {
    const { demo } = await import('./commands/demo.ts')
    await end(demo({ env: process.env, stdout, stderr, signal: stopping.signal }))
  })

program
  .command('migrate')
  .description('bring the database up to date')
  .option('--status', 'only tell how far it is; exit code 1 while something is pending', false)
  .option('--json', 'print JSON', false)
  .action(async (options: { status: boolean; json: boolean }) => {
    const { migrate } = await import('./commands/migrate.ts')
    await end(migrate(options, { env: process.env, stdout, stderr }))
  })

const user = program.command('user').description('users of a running hub')
withJson(user.command('add <email>'))
  .description('add a user')
  .option('--name <name>', 'how to call the user (default: the part before the @)')
  .addOption(new Option('--role <role>', 'what the user may do').choices(['user', 'admin']).default('user'))
  .action(async (email: string, options: { name?: string; role: UserRole; json: boolean }) => {
    const { addUser } = await import('./commands/accounts.ts')
    await addUser(email, options, await accounts(options))
  })
withJson(user.command('list'))
  .description('list all users')
  .action(async (options: { json: boolean }) => {
    const { printUsers } = await import('./commands/accounts.ts')
    await printUsers(await accounts(options))
  })

withJson(program.command('token <email>'))
  .description('print a token for that user')
  .option('--ttl <time>', 'how long it is good: 30m, 1h, 7d', seconds, 3_600)
  .action(async (email: string, options: { ttl: number; json: boolean }) => {
    const { printToken } = await import('./commands/accounts.ts')
    await printToken(email, options.ttl, await accounts(options))
  })

const device = program.command('device').description('devices of a running hub')
withJson(device.command('add <email> <name>'))
  .description('add a device to a user, and print a link and a QR code that pair it')
  .option('--key', 'print a device key instead, for headless devices', false)
  .addOption(new Option('--platform <platform>', 'what it runs on').choices([...DEVICE_PLATFORMS]))
  .addOption(new Option('--color <color>', 'its color on the map').choices([...DEVICE_COLORS]))
  .action(
    async (
      email: string,
      name: string,
      options: { platform?: DevicePlatform; color?: DeviceColor; key: boolean; json: boolean },
    ) => {
      const { addDevice } = await import('./commands/accounts.ts')
      await addDevice(email, name, options, await accounts(options))
    },
  )
withJson(device.command('list <email>'))
  .description("list a user's devices")
  .action(async (email: string, options: { json: boolean }) => {
    const { printDevices } = await import('./commands/accounts.ts')
    await printDevices(email, await accounts(options))
  })
withJson(device.command('revoke <id>'))
  .description('delete a device: its socket is closed, its points stay')
  .action(async (id: string, options: { json: boolean }) => {
    const { revokeDevice } = await import('./commands/accounts.ts')
    await revokeDevice(whole(id), await accounts(options))
  })

withJson(program.command('replay <files...>'))
  .description('send recorded tracks (GPX, CSV) as a device')
  .option('--key <key>', 'the device key to send with')
  .option('--speed <factor>', 'times the recorded pace; 0: as fast as acknowledged', factor, 1)
  .addOption(new Option('--shift <to>', 'move the track in time').choices(['now', 'none']).default('none'))
  .option('--split-by <column>', 'a device per value of this column (a bus line); needs --email')
  .option('--email <email>', 'whose devices --split-by makes')
  .option('--url <url>', 'the hub', process.env.ALZY_URL ?? DEFAULT_URL)
  .action(async (files: string[], options: ReplayFlags) => {
    const { replay } = await import('./commands/replay.ts')
    const token = options.splitBy === undefined ? undefined : await adminToken()
    await end(replay(files, { ...options, token }, terminal()))
  })

withJson(program.command('watch'))
  .description('print live movement')
  .requiredOption('--token <token>', 'whose devices to watch', process.env.ALZY_TOKEN)
  .option('--user <id>', 'watch another user (admins)', whole)
  .option('--url <url>', 'the hub', process.env.ALZY_URL ?? DEFAULT_URL)
  .action(async (options: { token: string; user?: number; url: string; json: boolean }) => {
    const { watch } = await import('./commands/watch.ts')
    await end(watch(options, terminal()))
  })

interface ReplayFlags {
  key?: string
  speed: number
  shift: 'now' | 'none'
  splitBy?: string
  email?: string
  url: string
  json: boolean
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    // Whoever asks twice does not want to wait.
    if (stopping.signal.aborted) process.exit(SECOND_SIGNAL_EXIT)
    stopping.abort()
  })
}

try {
  await program.parseAsync()
} catch (error) {
  if (error instanceof ConfigError) for (const problem of error.problems) stderr(problem)
  else stderr(`alzy: ${(error as Error).message}`)
  process.exitCode = 1
}

async function end(code: Promise<number>): Promise<void> {
  process.exitCode = await code
  // Nothing may hold the process up once its work is done.
  process.stdout.write('', () => process.exit())
}

async function accounts({ json }: { json: boolean }) {
  const { createApiClient } = await import('./commands/api.ts')
  const api = createApiClient(process.env.ALZY_URL ?? DEFAULT_URL, await adminToken())
  return { api, json, isTerminal: process.stdout.isTTY === true, stdout }
}

/** ALZY_TOKEN, or on the hub's own machine a short-lived token signed with the hub's secret. */
async function adminToken(): Promise<string> {
  if (process.env.ALZY_TOKEN) return process.env.ALZY_TOKEN
  const { createTokens, readSecret, OPERATOR_TTL_S_MAX } = await import('./access/tokens.ts')
  const dataDir = process.env.ALZY_DATA_DIR || DEFAULT_DATA_DIR
  const secret = process.env.ALZY_SECRET || (await readSecret(dataDir).catch(() => null))
  if (secret === null) {
    throw new Error(
      `no credential: set ALZY_TOKEN, or ALZY_SECRET, or ALZY_DATA_DIR where the hub's ${dataDir} is`,
    )
  }
  return (await createTokens(secret, { tokenTtlSMax: OPERATOR_TTL_S_MAX }).issueOperator(systemClock.now()))
    .token
}

function terminal() {
  return { stdout: process.stdout, stderr: process.stderr, signal: stopping.signal }
}

function withJson(command: Command): Command {
  return command.option('--json', 'print JSON', false)
}

function whole(text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new InvalidArgumentError('must be a whole number from 1.')
  return Number(text)
}

function factor(text: string): number {
  const value = Number(text)
  if (text === '' || !Number.isFinite(value) || value < 0)
    throw new InvalidArgumentError('must be a number from 0.')
  return value
}

function seconds(text: string): number {
  const match = /^([1-9]\d*)([smhd])$/.exec(text)
  if (match === null) throw new InvalidArgumentError('must be a time such as 30m, 1h or 7d.')
  return Number(match[1]) * SECONDS_IN[match[2]!]!
}
