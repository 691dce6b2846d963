/** Who a user is at OpenID issuers, as the database holds it. */
import { describe, expect, test } from 'vitest'
import type { ProvidersJson, UserJson } from '../../../src/protocol/http.ts'
import { findUser, findUserAt, insertUser, linkUser, updateUser } from '../../../src/store/people/users.ts'
import { describeOnEachStore } from '../eachStore.ts'

const [A, B] = ['https://a.example', 'https://b.example/realm']
let users = 0

describeOnEachStore('a user', (on) => {
  async function addUser(providers: ProvidersJson = {}): Promise<UserJson> {
    users += 1
    const email = `somebody${users}@example.org`
    const user = (await insertUser(on.store.read, { name: 'Ada', email, role: 'user' }))!
    return (await updateUser(on.store.read, user.id, { providers })) as UserJson
  }

  const idAt = async (issuer: string, sub: string) => (await findUserAt(on.store.read, issuer, sub))?.id

  test('is found by each subject it has, and by none that it had', async () => {
    const user = await addUser({ [A]: { sub: 'one' }, [B]: { sub: 'two' } })
    expect([await idAt(A, 'one'), await idAt(B, 'two')]).toEqual([user.id, user.id])
    expect([await idAt(A, 'two'), await idAt(B, 'one')]).toEqual([undefined, undefined])
    await updateUser(on.store.read, user.id, { providers: { [B]: { sub: 'three' } } })
    expect([await idAt(A, 'one'), await idAt(B, 'two'), await idAt(B, 'three')]).toEqual([
      undefined,
      undefined,
      user.id,
    ])
  })

  test('keeps what a change does not name', async () => {
    const user = await addUser({ [A]: { sub: 'kept' } })
    expect(await updateUser(on.store.read, user.id, { name: 'Ann' })).toEqual({ ...user, name: 'Ann' })
    const off = { role: 'admin', isActive: false } as const
    expect(await updateUser(on.store.read, user.id, off)).toEqual({ ...user, name: 'Ann', ...off })
    expect(await updateUser(on.store.read, 2 ** 30, off)).toBeNull()
  })

  test('is the only one with a subject, whoever comes later', async () => {
    const [user, other] = [await addUser({ [A]: { sub: 'only' } }), await addUser()]
    expect(await updateUser(on.store.read, other.id, { providers: { [A]: { sub: 'only' } } })).toBe('taken')
    expect(await linkUser(on.store.read, other.email, A, 'only')).toBeNull()
    expect([await idAt(A, 'only'), (await findUser(on.store.read, other.id))?.providers]).toEqual([
      user.id,
      {},
    ])
  })

  test('gets one of many subjects that are linked at once', async () => {
    const user = await addUser()
    const subs = Array.from({ length: 10 }, (_, i) => `racer ${user.id} ${i}`)
    const linked = await Promise.all(
      subs.map((sub) => linkUser(on.store.read, user.email.toUpperCase(), A, sub)),
    )
    const winners = linked.filter((row) => row !== null)
    expect(winners.map(({ id }) => id)).toEqual([user.id])
    expect((await findUser(on.store.read, user.id))?.providers).toEqual(winners[0]!.providers)
  })

  test('is linked beside another issuer, and not while it is inactive', async () => {
    const user = await addUser({ [A]: { sub: `${users}` } })
    await updateUser(on.store.read, user.id, { isActive: false })
    expect(await linkUser(on.store.read, user.email, B, `${users}`)).toBeNull()
    await updateUser(on.store.read, user.id, { isActive: true })
    const providers = { ...user.providers, [B]: { sub: `${users}` } }
    expect(await linkUser(on.store.read, user.email, B, `${users}`)).toMatchObject({ id: user.id, providers })
  })

  describe('cannot be written by hand', () => {
    test.each([
      ['without a subject', `{"${A}": {}}`],
      ['with a subject that is a number', `{"${A}": {"sub": 1}}`],
      ['with a subject that is empty', `{"${A}": {"sub": ""}}`],
      ['with something else than a provider', `{"${A}": "sub"}`],
      ['with an issuer without a name', '{"": {"sub": "1"}}'],
    ])('%s', async (_, providers) => {
      const user = await addUser()
      const write = on.store.read('update users set providers = $2::text::jsonb where id = $1::int', [
        user.id,
        providers,
      ])
      await expect(write).rejects.toMatchObject({ code: expect.stringMatching(/^23(502|514)$/) })
    })
  })
})
