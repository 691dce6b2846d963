/** Which tests are quick is read off their imports, so nothing may reach dist/ or a hub behind those. */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { ROOT } from './dist.ts'
import { quickTests } from './quick.ts'

test('what only calls functions is quick, what starts a hub, a database or a browser is not', () => {
  const quick = quickTests()
  expect(quick).toEqual(expect.arrayContaining(['test/core/credit.test.ts', 'test/client/device.test.ts']))
  for (const file of [
    'test/hub/life.test.ts',
    'test/store/points/writer.test.ts',
    'test/store/open/lock.test.ts',
    'test/web/idbQueue.test.ts',
  ]) {
    expect(quick).not.toContain(file)
  }
})

test('nobody but the rig knows where dist/ is', () => {
  const files = readdirSync(path.join(ROOT, 'test'), { recursive: true, encoding: 'utf8' })
  const knowing = files
    .filter((file) => /\.[jt]s$/.test(file) && !file.startsWith('rig/'))
    .filter((file) => /['"`/]\.\.\/dist\b/.test(readFileSync(path.join(ROOT, 'test', file), 'utf8')))
  expect(knowing).toEqual([])
})
