/** Users: added, made admins or not, let in or not, and given a link to the map. */
import { useState } from 'preact/hooks'
import type { NewUserJson, TokenJson, UserChangeJson, UserJson } from '../../protocol/http.ts'
import { useAsk } from '../hub/useAsk.ts'
import { CopyButton } from '../look/CopyButton.tsx'
import { Dialog } from '../look/Dialog.tsx'
import { momentWords } from '../look/words.ts'
import type { Office } from './office.ts'
import { Scroller } from './Scroller.tsx'

const LINK_TTL_S = 7 * 24 * 3_600

export function Users({ office }: { office: Office }) {
  const [link, setLink] = useState<{ user: UserJson; url: string } | null>(null)
  const { isBusy, problem, ask } = useAsk()
  const change = (user: UserJson, fields: UserChangeJson) =>
    ask(async () => {
      await office.api.send('PATCH', `/v1/users/${user.id}`, fields)
      await office.readUsers()
    })
  const give = (user: UserJson) =>
    ask(async () => {
      const { token } = await office.api.send<TokenJson>('POST', `/v1/users/${user.id}/tokens`, {
        ttlS: LINK_TTL_S,
      })
      setLink({ user, url: `${location.origin}/#token=${token}` })
    })
  return (
    <div class="stack">
      <NewUser office={office} />
      {problem !== null && (
        <p class="notice bad" role="alert">
          {problem}
        </p>
      )}
      <Scroller label="Table of users">
        <thead>
          <tr>
            <th scope="col">User</th>
            <th scope="col">Role</th>
            <th scope="col">State</th>
            <th scope="col">Last login</th>
            <th scope="col">
              <span class="hidden-text">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {office.users.value.map((user) => (
            <tr key={user.id}>
              <th scope="row">
                {user.name} <span class="muted small">{user.email}</span>
              </th>
              <td>{user.role}</td>
              <td>
                <span class={user.isActive ? 'tag good' : 'tag warn'}>
                  {user.isActive ? 'active' : 'deactivated'}
                </span>
              </td>
              <td>{user.lastLoginAt === null ? 'never' : momentWords(Date.parse(user.lastLoginAt))}</td>
              <td>
                <div class="row end">
                  <button
                    type="button"
                    class="button small"
                    disabled={isBusy || !user.isActive}
                    onClick={() => give(user)}
                  >
                    Give a link
                  </button>
                  <button
                    type="button"
                    class="button small"
                    disabled={isBusy}
                    onClick={() => change(user, { role: user.role === 'admin' ? 'user' : 'admin' })}
                  >
                    {user.role === 'admin' ? 'Make a user' : 'Make an admin'}
                  </button>
                  <button
                    type="button"
                    class={user.isActive ? 'button danger small' : 'button small'}
                    disabled={isBusy}
                    onClick={() => change(user, { isActive: !user.isActive })}
                  >
                    {user.isActive ? 'Deactivate' : 'Activate'}
                  </button>
                </div>
              </td>
            </tr>
          ))}
        </tbody>
      </Scroller>
      {link !== null && (
        <Dialog title={`A link for ${link.user.name}`} onClose={() => setLink(null)}>
          <p>Whoever opens it is signed in as {link.user.email} for a week. It is shown only now.</p>
          <label class="field">
            <span>Link</span>
            <input readOnly value={link.url} onFocus={(event) => event.currentTarget.select()} />
          </label>
          <div class="row">
            <CopyButton text={link.url} words="Copy the link" />
          </div>
        </Dialog>
      )}
    </div>
  )
}

function NewUser({ office }: { office: Office }) {
  const [email, setEmail] = useState('')
  const { isBusy, problem, ask } = useAsk()
  return (
    <form
      class="row wrap foot"
      onSubmit={(event) => {
        event.preventDefault()
        ask(async () => {
          await office.api.send('POST', '/v1/users', { email: email.trim() } satisfies NewUserJson)
          setEmail('')
          await office.readUsers()
        })
      }}
    >
      <label class="field narrow">
        <span>Email of a new user</span>
        <input type="email" required value={email} onInput={(event) => setEmail(event.currentTarget.value)} />
      </label>
      <button type="submit" class="button main" disabled={isBusy}>
        Add
      </button>
      {problem !== null && (
        <p class="notice bad" role="alert">
          {problem}
        </p>
      )}
    </form>
  )
}
