/** Shares: links by which others see some devices live until a certain time, and the end of each before that. */
import { useEffect, useState } from 'preact/hooks'
import type { MadeShareJson, ShareJson } from '../../../protocol/http.ts'
import { useAsk } from '../../hub/useAsk.ts'
import { CopyButton } from '../../look/CopyButton.tsx'
import { Dialog } from '../../look/Dialog.tsx'
import { Qr } from '../../look/Qr.tsx'
import { momentWords } from '../../look/words.ts'
import type { Desk } from '../desk.ts'
import { orderedDevices } from '../order.ts'

const HOUR_S = 3_600
const SPANS: readonly [seconds: number, words: string][] = [
  [HOUR_S, '1 hour'],
  [8 * HOUR_S, '8 hours'],
  [24 * HOUR_S, '1 day'],
  [7 * 24 * HOUR_S, '1 week'],
]

export function Shares({ desk }: { desk: Desk }) {
  const [shares, setShares] = useState<ShareJson[] | null>(null)
  const [made, setMade] = useState<MadeShareJson | null>(null)
  const { isBusy, problem, ask } = useAsk()
  const load = async () => {
    const all = await desk.api.all<ShareJson>('/v1/shares', 'shares')
    setShares(
      all.filter(({ endedAt, expiresAt }) => endedAt === null && Date.parse(expiresAt) > desk.watch.now()),
    )
  }
  useEffect(() => ask(load), [])
  return (
    <Dialog title="Share" onClose={() => (desk.dialog.value = null)}>
      {made === null ? (
        <ShareForm
          desk={desk}
          isBusy={isBusy}
          onSubmit={(deviceIds, seconds) =>
            ask(async () => {
              const expiresAt = new Date(desk.watch.now() + seconds * 1_000).toISOString()
              setMade(await desk.api.send<MadeShareJson>('POST', '/v1/shares', { deviceIds, expiresAt }))
              await load()
            })
          }
        />
      ) : (
        <div class="stack">
          <p>
            Whoever has this link sees {namesOf(desk, made.share)} live until{' '}
            <strong>{momentWords(Date.parse(made.share.expiresAt))}</strong>, and nothing of the past. It is
            shown only now.
          </p>
          <Qr text={made.url} label="QR code of the share link" />
          <label class="field">
            <span>Link</span>
            <input readOnly value={made.url} onFocus={(event) => event.currentTarget.select()} />
          </label>
          <div class="row">
            <CopyButton text={made.url} words="Copy the link" />
          </div>
        </div>
      )}
      {problem !== null && (
        <p class="notice bad" role="alert">
          {problem}
        </p>
      )}
      {shares !== null && shares.length > 0 && (
        <section class="stack" aria-labelledby="shares-title">
          <h3 id="shares-title">Shared now</h3>
          <ul class="stack">
            {shares.map((share) => (
              <li key={share.id} class="row spread">
                <span class="grow">
                  <span class="cut block">{namesOf(desk, share)}</span>
                  <span class="muted small">until {momentWords(Date.parse(share.expiresAt))}</span>
                </span>
                <button
                  type="button"
                  class="button danger"
                  disabled={isBusy}
                  aria-label={`End the share of ${namesOf(desk, share)}`}
                  onClick={() =>
                    ask(async () => {
                      await desk.api.send('DELETE', `/v1/shares/${share.id}`)
                      if (made?.share.id === share.id) setMade(null)
                      await load()
                    })
                  }
                >
                  End
                </button>
              </li>
            ))}
          </ul>
        </section>
      )}
    </Dialog>
  )
}

function ShareForm({
  desk,
  isBusy,
  onSubmit,
}: {
  desk: Desk
  isBusy: boolean
  onSubmit: (deviceIds: number[], seconds: number) => void
}) {
  const selected = desk.selectedId.value
  const [ids, setIds] = useState<readonly number[]>(selected === null ? [] : [selected])
  const [seconds, setSeconds] = useState(SPANS[0]![0])
  const devices = orderedDevices(desk.watch.devices.values(), '')
  return (
    <form
      class="stack"
      onSubmit={(event) => {
        event.preventDefault()
        onSubmit([...ids], seconds)
      }}
    >
      <p class="muted">Someone without an account sees these devices live, and only while the share lasts.</p>
      <fieldset class="choices">
        <legend class="legend">Devices</legend>
        {devices.map(({ deviceId, name }) => (
          <label key={deviceId} class="row">
            <input
              type="checkbox"
              checked={ids.includes(deviceId)}
              onChange={(event) =>
                setIds(event.currentTarget.checked ? [...ids, deviceId] : ids.filter((id) => id !== deviceId))
              }
            />
            <span class="cut">{name}</span>
          </label>
        ))}
        {devices.length === 0 && <p class="muted">There is no device to share yet.</p>}
      </fieldset>
      <label class="field">
        <span>For</span>
        <select value={seconds} onChange={(event) => setSeconds(Number(event.currentTarget.value))}>
          {SPANS.map(([span, words]) => (
            <option key={span} value={span}>
              {words}
            </option>
          ))}
        </select>
      </label>
      <button type="submit" class="button main" disabled={isBusy || ids.length === 0}>
        Make a link
      </button>
    </form>
  )
}

function namesOf(desk: Desk, { deviceIds }: ShareJson): string {
  const names = deviceIds.flatMap((id) => desk.watch.devices.get(id)?.name ?? [])
  const [first, ...others] = names
  if (first === undefined) return `${deviceIds.length} device${deviceIds.length === 1 ? '' : 's'}`
  return others.length === 0 ? first : `${first} and ${others.length} more`
}
