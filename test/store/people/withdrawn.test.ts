/** What the database takes back of many grants, asked for all at once. */
import { expect, test } from 'vitest'
import type { Grant, Withdrawal } from '../../../src/core/grant.ts'
import { writeDeviceKey } from '../../../src/store/people/devices.ts'
import { endShare, insertShare } from '../../../src/store/people/shares.ts'
import { updateUser } from '../../../src/store/people/users.ts'
import { readWithdrawn } from '../../../src/store/people/withdrawn.ts'
import { NOW_MS } from '../../core/frames.ts'
import { describeOnEachStore } from '../eachStore.ts'

/** The hash of a key that no other device has. */
const keyOf = (deviceId: number) => deviceId.toString(16).padStart(8, 'a').repeat(8)

describeOnEachStore('of what was granted', (on) => {
  const withdrawn = (...grants: Grant[]) => readWithdrawn(on.store.read, grants, NOW_MS)
  async function whyOf(grant: Grant): Promise<Withdrawal | undefined> {
    const found = await withdrawn(grant)
    expect([...found.keys()].every((key) => key === grant)).toBe(true)
    return found.get(grant)
  }

  async function addShare(userId: number, deviceId: number): Promise<number> {
    const expiresMs = NOW_MS + 60_000
    const share = await insertShare(on.store.read, { userId, deviceIds: [deviceId], expiresMs }, NOW_MS, 10)
    if (share === 'full') throw new Error('full')
    expect(share).toMatchObject({ userId, deviceIds: [deviceId], endedAt: null })
    return share.id
  }

  test('to a user, all goes on until the user is inactive, demoted or gone', async () => {
    const { userId } = await on.addDevice()
    const change = (to: object) => updateUser(on.store.read, userId, to)
    const [plain, admin] = [
      { role: 'user' as const, userId },
      { role: 'admin' as const, userId },
    ]
    await change({ role: 'admin' })
    expect([await whyOf(plain), await whyOf(admin)]).toEqual([undefined, undefined])
    await change({ role: 'user' })
    expect([await whyOf(plain), await whyOf(admin)]).toEqual([undefined, 'refused'])
    await change({ role: 'admin', isActive: false })
    expect([await whyOf(plain), await whyOf(admin)]).toEqual(['refused', 'refused'])
    expect(await whyOf({ role: 'user', userId: 2 ** 30 })).toBe('refused')
  })

  test('to a user by the token of an issuer, all goes on until the user is somebody else there', async () => {
    const { userId } = await on.addDevice()
    const [issuer, sub] = ['https://issuer.example/"a,b"', `o'ne "${userId}", {x}`]
    const grant: Grant = { role: 'user', userId, via: { issuer, sub } }
    const own: Grant = { role: 'user', userId }
    const change = (to: Record<string, { sub: string }>) =>
      updateUser(on.store.read, userId, { providers: to })
    const why = async () => [await whyOf(grant), await whyOf(own)]
    expect(await why()).toEqual(['refused', undefined])
    await change({ [issuer]: { sub } })
    expect(await why()).toEqual([undefined, undefined])
    await change({ [issuer]: { sub }, 'https://other.example': { sub: '1' } })
    expect(await why()).toEqual([undefined, undefined])
    for (const to of [{ [issuer]: { sub: `${sub}!` } }, { 'https://other.example': { sub } }, {}]) {
      await change(to)
      expect(await why()).toEqual(['refused', undefined])
    }
    // Somebody else is that one now.
    const other = await on.addDevice()
    await updateUser(on.store.read, other.userId, { providers: { [issuer]: { sub } } })
    expect(await why()).toEqual(['refused', undefined])
  })

  test('to a share, all goes on until it is ended, expires, or its owner is inactive', async () => {
    const { id, userId } = await on.addDevice()
    const shareId = await addShare(userId, id)
    const grant: Grant = { role: 'share', userId, shareId, deviceIds: [id] }
    expect(await whyOf(grant)).toBeUndefined()
    const at = async (nowMs: number) => (await readWithdrawn(on.store.read, [grant], nowMs)).get(grant)
    expect([await at(NOW_MS + 59_999), await at(NOW_MS + 60_000)]).toEqual([undefined, 'refused'])
    await updateUser(on.store.read, userId, { isActive: false })
    expect(await whyOf(grant)).toBe('refused')
    await updateUser(on.store.read, userId, { isActive: true })
    expect(await whyOf(grant)).toBeUndefined()
    await endShare(on.store.read, shareId, NOW_MS)
    expect(await whyOf(grant)).toBe('refused')
    expect(await whyOf({ ...grant, shareId: 2 ** 30 })).toBe('refused')
  })

  test('to a device, all goes on until it has another key, is gone, or its owner is inactive', async () => {
    const { id, userId } = await on.addDevice()
    const keyHash = keyOf(id)
    const grant: Grant = { role: 'device', userId, deviceId: id, keyHash }
    expect(await whyOf(grant)).toBe('refused')
    await writeDeviceKey(on.store.read, id, keyHash)
    expect(await whyOf(grant)).toBeUndefined()
    await writeDeviceKey(on.store.read, id, `f${keyHash.slice(1)}`)
    expect(await whyOf(grant)).toBe('refused')
    await writeDeviceKey(on.store.read, id, keyHash)
    await updateUser(on.store.read, userId, { isActive: false })
    expect(await whyOf(grant)).toBe('refused')
    await updateUser(on.store.read, userId, { isActive: true })
    for (const [off, back] of [
      ['is_active = false', 'is_active = true'],
      ['deleted_at = now()', 'deleted_at = null'],
    ]) {
      await on.store.read(`update devices set ${off} where id = $1::int`, [id])
      expect(await whyOf(grant)).toBe('gone')
      await on.store.read(`update devices set ${back} where id = $1::int`, [id])
      expect(await whyOf(grant)).toBeUndefined()
    }
    expect(await whyOf({ ...grant, deviceId: 2 ** 30 })).toBe('gone')
  })

  test('of thousands, those that are withdrawn are found with a handful of statements', async () => {
    const { id, userId } = await on.addDevice()
    await writeDeviceKey(on.store.read, id, keyOf(id))
    const shareId = await addShare(userId, id)
    const good: Grant[] = []
    for (let i = 0; i < 6_000; i++) {
      good.push({ role: 'user', userId }, { role: 'share', userId, shareId, deviceIds: [id] })
      good.push({ role: 'device', userId, deviceId: id, keyHash: keyOf(id) })
    }
    const bad: Grant[] = Array.from({ length: 6_000 }, (_, i) => ({ role: 'user', userId: 2 ** 30 + i }))
    let statements = 0
    const found = await readWithdrawn(
      (...statement) => {
        statements += 1
        return on.store.read(...statement)
      },
      [...good, ...bad],
      NOW_MS,
    )
    expect(found.size).toBe(bad.length)
    for (const grant of bad) expect(found.get(grant)).toBe('refused')
    expect(statements).toBeLessThan(10)
    expect((await withdrawn()).size).toBe(0)
  })
})
