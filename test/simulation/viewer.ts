/**
 * A virtual viewer: subscribes, answers TICK, asks again where a frame is missing, and comes back after a close, by
 * PROTOCOL.md section 3. It knows nothing of the hub but its frames.
 */
import type { Chance } from '../rig/chance.ts'
import * as t from '../rig/points.ts'
import type { Clock, Job } from './clock.ts'
import type { Client, Link } from './network.ts'
import { createPicture } from './picture.ts'
import type { Sometimes } from './sometimes.ts'
import { AUTH, AUTH_OK, type Frame, packFrame } from './wire.ts'

export interface ViewerOptions {
  token: string
  /** `userIds` and `deviceIds` of its SUB. */
  wants: [number[] | null, number[] | null]
  /** Whether its user would get in. */
  mayEnter: () => boolean
  clock: Clock
  chance: Chance
  sometimes: Sometimes
  client: number
  connect: (client: Client) => Link
}

const USER_LOOKS_MS = 3_000

export type VirtualViewer = ReturnType<typeof createViewer>

export function createViewer(options: ViewerOptions) {
  const { clock, chance, sometimes } = options
  const picture = createPicture()
  let link: Link | null = null
  let isWelcome = false
  let isOff = false
  let isRefused = false
  let attempts = 0
  let answerMs = 0
  let retry: Job | undefined
  let resyncing: Job | undefined
  let hasAsked = false
  const client: Client = { id: options.client, onFrame, onClose }
  return {
    token: options.token,
    picture,
    start: connect,
    switchOff,
    wake,
    cut: (isSilent: boolean) => link?.cut(isSilent),
    stall: (yes: boolean) => link?.stall(yes),
    pace: (ms: number) => link?.pace(ms),
    renew: () => void (isWelcome && link!.sendToHub(packFrame([AUTH, options.token]))),
    subscribe,
    /** Answers TICK so much later than at once. */
    set answerMs(ms: number) {
      answerMs = ms
    },
    get link() {
      return link
    },
    get isRefused() {
      return isRefused
    },
    /** It shows everything, as far as it knows. */
    get isSettled() {
      return link !== null && isWelcome && picture.isComplete && !hasAsked && resyncing === undefined
    },
  }

  function connect(): void {
    if (isOff || link !== null) return
    picture.begin()
    isWelcome = false
    hasAsked = false
    link = options.connect(client)
    link.sendToHub(packFrame([t.HELLO, options.token, 'simulated', null]))
  }

  function subscribe(): void {
    if (!isWelcome) return
    picture.restart()
    link!.sendToHub(packFrame([t.SUB, ...options.wants]))
  }

  function onFrame(frame: Frame): void {
    switch (frame[0]) {
      case t.WELCOME:
        isWelcome = true
        attempts = 0
        return subscribe()
      case t.TICK: {
        const { sendToHub } = link!
        const seen = packFrame([t.SEEN, frame[1]])
        if (answerMs === 0) sendToHub(seen)
        else clock.at(answerMs, 'late SEEN', options.client, () => sendToHub(seen))
        return
      }
      case AUTH_OK:
        return sometimes.note('AUTH accepted')
      case t.BACKFILLED:
        sometimes.note('BACKFILLED heard')
        break
      case t.DEVICE:
        sometimes.note('DEVICE heard')
        break
      case t.GONE:
        sometimes.note('GONE heard')
        break
      case t.PRESENCE:
        sometimes.note('presence heard')
        break
      case t.SNAP:
        if (frame[2] === true && (frame[1] as number) > 0) sometimes.note('snapshot in several parts')
        break
    }
    const oddity = picture.apply(frame)
    if (oddity === 'hole' || oddity === 'unknown') askAgain()
    if (frame[0] === t.SNAP && frame[2] === true) hasAsked = false
  }

  /** After 0 to 1 s at random, at most once a second. */
  function askAgain(): void {
    sometimes.note('viewer finds a hole')
    if (resyncing !== undefined) return
    resyncing = clock.at(1 + chance.next() * 1_000, 'RESYNC', options.client, () => {
      resyncing = undefined
      if (link === null || !isWelcome) return
      sometimes.note('RESYNC sent')
      hasAsked = true
      picture.restart()
      link.sendToHub(packFrame([t.RESYNC]))
    })
  }

  function onClose(code: number): void {
    link = null
    isWelcome = false
    clock.cancel(resyncing)
    resyncing = undefined
    if (isOff) return
    if (code === 4503) {
      isRefused = true
      return askUser()
    }
    attempts += 1
    const delayMs = (code === 1013 ? 5_000 : 0) + chance.next() * Math.min(60_000, 500 * 2 ** attempts)
    retry = clock.at(delayMs, 'viewer reconnects', options.client, connect)
  }

  /** Who is refused tries again when there is a reason to. */
  function askUser(): void {
    retry = clock.at(USER_LOOKS_MS, 'user looks', options.client, () => {
      if (!options.mayEnter()) return askUser()
      isRefused = false
      connect()
    })
  }

  /** Its user connects it now. */
  function wake(): void {
    attempts = 0
    if (link !== null || isRefused) return
    clock.cancel(retry)
    connect()
  }

  function switchOff(): void {
    isOff = true
    clock.cancel(retry)
    link?.leave()
    link = null
    isWelcome = false
  }
}
