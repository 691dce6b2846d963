/** `alzy device add` as somebody at a terminal uses it: what is printed is read back by a camera, and pairs a phone. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { qrCode } from '../../src/commands/qrCode.ts'
import { describeOnEachDatabase } from '../rig/eachDatabase.ts'
import { built } from '../rig/gear.ts'
import { runAlzy } from '../rig/hub.ts'
import { plainLines, readQrCode } from '../rig/qrReader.ts'
import { welcomedDevice } from '../rig/welcomed.ts'

const SCRIPT = '/usr/bin/script'
const scriptMissing = existsSync(SCRIPT) ? '' : ` (${SCRIPT} is missing)`

describeOnEachDatabase('alzy device add', { ALZY_ORIGINS: 'https://hub.example.org' }, (on) => {
  const local = () => {
    const { ALZY_SECRET, ALZY_DATA_DIR } = on.database.env
    return { ALZY_URL: on.hub.http, ...(ALZY_SECRET ? { ALZY_SECRET } : { ALZY_DATA_DIR: ALZY_DATA_DIR! }) }
  }
  const pair = (url: string) =>
    on.hub.request('POST', '/v1/pair', { pairingToken: url.split('#pair=')[1] }, null)

  test('prints JSON: a link and its token, or with --key a key', async () => {
    const { email } = await on.hub.addUser()
    const run = async (...more: string[]) => {
      const { code, stdout } = await runAlzy(['device', 'add', email, 'Phone', '--json', ...more], local())
      return { code, json: JSON.parse(stdout) }
    }
    const added = await run('--platform', 'ios', '--color', 'pink')
    expect(added.code).toBe(0)
    const { deviceId, pairingToken, expiresAt } = added.json
    expect(added.json).toEqual({
      deviceId: expect.any(Number),
      pairingUrl: `https://hub.example.org/track#pair=${pairingToken}`,
      pairingToken: expect.stringMatching(/^[A-Za-z0-9_-]{22}$/),
      expiresAt: new Date(Date.parse(expiresAt)).toISOString(),
    })
    expect((await on.hub.request('GET', `/v1/devices/${deviceId}`)).json).toMatchObject({
      platform: 'ios',
      color: 'pink',
      pairedAt: null,
    })
    const paired = await pair(added.json.pairingUrl)
    await (await welcomedDevice(on.hub.ws, paired.json)).close()

    const keyed = await run('--key')
    expect(Object.keys(keyed.json)).toEqual(['deviceId', 'deviceKey'])
    await (await welcomedDevice(on.hub.ws, keyed.json)).close()
  })

  test.skipIf(scriptMissing !== '')(
    `prints into a terminal a code that a camera reads, and pairs${scriptMissing}`,
    async () => {
      const { email } = await on.hub.addUser()
      const command = `${process.execPath} ${await built('main.js')} device add ${email} Phone`
      const env = { PATH: process.env.PATH, TERM: 'xterm-256color', ...local() }
      const { stdout } = await promisify(execFile)(SCRIPT, ['-qec', command, '/dev/null'], { env })
      expect(stdout).toMatch(/^device \d+: Phone of /)
      expect(stdout).toContain('\x1b[97;40m')
      const url = readQrCode(stdout)!
      expect(stdout).toContain(`  ${url}\r\n`)
      expect(url).toMatch(/^https:\/\/hub\.example\.org\/track#pair=[A-Za-z0-9_-]{22}$/)
      const widths = plainLines(stdout).map((line) => line.length)
      expect(Math.max(...widths)).toBeLessThanOrEqual(80)
      expect((await pair(url)).status).toBe(200)
    },
  )

  test('prints into a pipe the same without colours, and says when a phone cannot follow the link', async () => {
    const { email } = await on.hub.addUser()
    const { stdout } = await runAlzy(['device', 'add', email, 'Phone'], local())
    expect(stdout).not.toContain('\x1b')
    expect(stdout).not.toContain('this machine only')
    expect(readQrCode(stdout)).toBe(/https:\S+/.exec(stdout)![0])
  })

  test('of a hub without a public address says that only this machine can follow the link', async () => {
    await on.restart({ ALZY_ORIGINS: '' })
    const { email } = await on.hub.addUser()
    const { stdout } = await runAlzy(['device', 'add', email, 'Phone'], local())
    expect(stdout).toContain('This link works on this machine only')
    expect(readQrCode(stdout)).toBe(/http:\S+/.exec(stdout)![0])
  })
})

test('a code is read as it was written, whatever its length, and not in its inverse', () => {
  for (const length of [1, 20, 60, 200, 500]) {
    const text = `https://hub.example.org/${'x'.repeat(length)}`
    for (const isColored of [true, false]) expect(readQrCode(qrCode(text, isColored).join('\n'))).toBe(text)
    expect(readQrCode(qrCode(text, false).join('\n'), 'dark')).toBeNull()
  }
})
