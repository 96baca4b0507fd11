// What the user does, and what the server says: the one place that drives signaling, media and the store.
import { both, camera, microphone, screen } from './devices'
import { Captured, Media } from './media'
import { Event, Joined, Participant, Refused, Resumed, Session, Source, Track, User } from './protocol'
import { Ringer } from './ring'
import { Lost, Signaling } from './signaling'
import { get, leaveRoom, notice, set, State } from './store'
import { Wants } from './wants'

const KEPT = 'callstack.resume'
const CALL_ROOM = 'call-' // the server's prefix for rooms of calls
const url = `${location.protocol === 'http:' ? 'ws' : 'wss'}://${location.host}/ws`
const ringer = new Ringer()
let signaling: Signaling | undefined
let media: Media | undefined
let wants: Wants | undefined
let chatKey = 0

export const connections = () => media?.connections ?? {}

const REASONS: Record<string, string> = {
  declined: 'The call was declined.', busy: 'They are in another call.', no_answer: 'Nobody answered.', cancelled: 'The caller hung up.',
  failed: 'They are not online.', ended: 'The call ended.',
}

/** Runs what a click asked for; what goes wrong is shown. */
export async function shown(f: () => Promise<unknown>) {
  try { await f() } catch (e) { notice('error', e instanceof Error ? e.message : String(e)) }
}

let running = 0
/** The same, and the page is busy meanwhile. */
export async function attempt(f: () => Promise<unknown>) {
  set({ busy: ++running > 0 })
  await shown(f)
  set({ busy: --running > 0 })
}

/** The same for what must not run twice, or while another does: double clicks, a key held down. */
export const act = (f: () => Promise<unknown>) => (running ? Promise.resolve() : attempt(f))

function ask<T = unknown>(type: string, fields?: object): Promise<T> {
  return signaling ? signaling.ask<T>(type, fields) : Promise.reject(new Lost('There is no connection to the server.'))
}

const owed: [string, object | undefined][] = []
/** Says that something is over. A refusal is as good: then it was over already. Without a connection it is said later. */
async function tell(type: string, fields?: object) {
  try { await ask(type, fields) } catch (e) {
    if (e instanceof Lost) owed.push([type, fields])
    else if (!(e instanceof Refused)) throw e
  }
}

// ---- who we are ----

function keep() {
  if (signaling?.secret) sessionStorage.setItem(KEPT, signaling.secret)
  else sessionStorage.removeItem(KEPT)
}

async function arrived(s: Session) {
  keep()
  set({ me: { user: s.user, display: s.display } })
  await watch()
}

async function watch() {
  const { users } = await ask<{ users: User[] }>('presence')
  set({ users })
}

function linked(link: State['link']) {
  set({ link })
  if (link === 'lost') void media?.allLayers().catch(() => undefined)
}

function connect() {
  owed.length = 0
  signaling = new Signaling(url, {
    event, link: linked, resumed: r => void attempt(() => resumed(r)),
    over: why => {
      loggedOut()
      notice('info', why === 'elsewhere' ? 'This session goes on in another tab.' : 'You were logged out. Log in again.')
    },
  })
  return signaling
}

export async function login(user: string, password: string) {
  try {
    await arrived(await connect().login(user, password))
  } catch (e) {
    signaling?.end()
    throw e instanceof Refused && e.code === 'unauthorized' ? new Error('Wrong user name or password.') : e
  }
}

/** The page was loaded again: its session goes on, and so do its room or call, with new transports: the old went with the old page. */
export async function takeUp() {
  const secret = sessionStorage.getItem(KEPT)
  if (!secret) return
  set({ taking: true })
  try {
    const r = await connect().takeUp(secret)
    await arrived(r)
    if (r.room) await enterAgain(r as Resumed & Joined)
  } catch (e) {
    if (get().me) notice('error', e instanceof Error ? e.message : String(e))
    else { sessionStorage.removeItem(KEPT); signaling?.end() }
  } finally {
    set({ taking: false })
  }
}

async function enterAgain(r: Joined) {
  const kept = JSON.parse(sessionStorage.getItem(KEPT + '.room') ?? '{}') as { room?: string; video?: boolean; muted?: boolean; call?: State['call'] }
  const same = kept.room === r.room ? kept : {}
  set({ call: same.call?.state === 'answered' ? same.call : undefined })
  const m = enter(r)
  if (r.participants.some(p => p.tracks.length)) void m.renew('subscribe').catch(() => undefined)
  await sendFirst(m, same.video ?? true, same.muted)
  // Without anything of ours, what the old page published would stay as if it were.
  if (media === m && !get().own.microphone && !get().own.camera) await m.withdraw()
}

/** What the next page needs to know when this one is loaded again. */
function remember() {
  const { room, call, own, muted } = get()
  if (room) sessionStorage.setItem(KEPT + '.room', JSON.stringify({ room, video: !!own.camera, muted, call }))
}

/** The WebSocket is back; the page and its media never went. */
async function resumed(r: Resumed) {
  keep()
  const { room, call, participants } = get()
  if (!r.replayed) {
    // What went missing is not known: a call that still rings for us is told again, one that we started is told when it ends.
    if (call?.state === 'incoming') { ringer.stop(); set({ call: undefined }) }
    if (room && r.room === room) set({ participants: r.participants ?? participants })
  }
  if (room && r.room !== room && !r.replayed) {
    const camera = !!get().own.camera
    exit()
    set({ call: undefined })
    notice('info', room.startsWith(CALL_ROOM) ? 'The call ended meanwhile.' : 'The connection was lost for too long; entering the room again.')
    if (!room.startsWith(CALL_ROOM)) await join(room, camera)
  }
  for (const [type, fields] of owed.splice(0)) await tell(type, fields)
  if (!get().room && r.room && get().call?.state !== 'answered') await tell('leave') // a join whose answer was lost
  await watch()
  wants?.again()
  await media?.resync(r.replayed)
}

function loggedOut() {
  exit()
  ringer.stop()
  sessionStorage.removeItem(KEPT)
  set({ me: undefined, users: [], call: undefined, settingsOpen: false })
}

export async function logout() {
  await ask('logout').catch(() => undefined)
  signaling?.end()
  loggedOut()
}

addEventListener('pagehide', remember)
// A page from the back-forward cache has lost its connections: begin anew, as after a reload.
addEventListener('pageshow', e => { if (e.persisted) location.reload() })
addEventListener('online', () => signaling?.hurry())
document.addEventListener('visibilitychange', () => { if (!document.hidden) signaling?.hurry() })

// ---- rooms ----

function enter(j: Joined): Media {
  const w = new Wants(ask)
  const m: Media = new Media(ask, {
    incoming: incoming => { if (media === m) { set({ incoming }); w.received(incoming.map(i => i.id)) } },
    state: (target, state) => { if (media === m) set(s => ({ media: { ...s.media, [target]: state } })) },
    ended: source => void attempt(() => stop(source)),
  }, get().choice.codec)
  media = m
  wants = w
  set({ room: j.room, self: j.participant, participants: j.participants })
  return m
}

/** Sends captured tracks into the room that they were captured for; by the time there are some, it may have been left. */
async function send(m: Media, list: Captured[]) {
  if (media !== m) {
    for (const [, track] of list) track.stop()
    return
  }
  set(s => ({ own: { ...s.own, ...Object.fromEntries(list) } }))
  try {
    await m.publish(list)
  } catch (e) {
    if (media !== m) return // left meanwhile, and the tracks were stopped
    if (!(e instanceof Refused)) throw e
    for (const [, track] of list) track.stop()
    forget(list.map(([source]) => source))
    throw e
  }
}

const forget = (sources: Source[]) =>
  set(s => { const own = { ...s.own }; for (const source of sources) delete own[source]; return { own } })

/** One may listen without a microphone, and talk without a camera: what is missing is said, and the rest goes on. */
async function sendFirst(m: Media, video: boolean, muted = false) {
  const list: Captured[] = []
  const { choice } = get()
  if (video) {
    const got = await both(choice)
    if (got.microphone) list.push(['microphone', got.microphone])
    if (got.camera) list.push(['camera', got.camera])
    if (media === m) for (const problem of got.problems) notice('error', problem)
  } else {
    const track = await microphone(choice.audio).catch((e: Error) => { if (media === m) notice('error', e.message) })
    if (track) list.push(['microphone', track])
  }
  for (const [source, track] of list) if (source === 'microphone') track.enabled = !muted
  if (media === m) set({ muted })
  if (list.length) await send(m, list)
}

export async function join(room: string, video = true) {
  await sendFirst(enter(await ask<Joined>('join', { room })), video)
}

function exit() {
  media?.close()
  wants?.close()
  media = wants = undefined
  sessionStorage.removeItem(KEPT + '.room')
  leaveRoom()
}

export async function leave() {
  const { call } = get()
  exit()
  set({ call: undefined })
  if (call?.state === 'answered') await tell('hangup', { call: call.call })
  else await tell('leave')
}

// ---- what we send ----

export async function toggleMicrophone() {
  const m = media
  if (!m) return
  if (get().own.microphone) { await toggleMute(); return }
  const fresh = await microphone(get().choice.audio)
  set({ muted: false })
  await send(m, [['microphone', fresh]])
}

/** Takes effect at once, whatever else is under way: who mutes must be able to rely on it. */
export async function toggleMute() {
  const track = get().own.microphone
  const m = media
  if (!m || !track) return
  track.enabled = !track.enabled
  set({ muted: !track.enabled })
  const id = m.trackId('microphone')
  // Without a connection nothing is lost: it is said with the next offer, when that is back.
  if (id) await ask('mute', { track: id, muted: !track.enabled }).catch(e => { if (!(e instanceof Lost)) throw e })
}

async function stop(source: Source) {
  const sources: Source[] = source === 'screen' ? ['screen', 'screen_audio'] : [source]
  forget(sources)
  await media?.unpublish(sources)
}

export async function toggleCamera() {
  const m = media
  if (!m) return
  if (get().own.camera) await stop('camera')
  else await send(m, [['camera', await camera(get().choice.video)]])
}

export async function toggleScreen() {
  const m = media
  if (!m) return
  if (get().own.screen) { await stop('screen'); return }
  const tracks = await screen()
  if (tracks.length) await send(m, tracks.map(t => [t.kind === 'video' ? 'screen' : 'screen_audio', t]))
}

/** How tall a received picture is shown; undefined: not any more. */
export function shows(track: string, height: number | undefined, large: boolean) {
  if (height === undefined) wants?.drop(track)
  else wants?.set(track, height, large ? 100 : 0)
}

export const pin = (participant: string) => set(s => ({ pinned: s.pinned === participant ? undefined : participant }))

/** Our pictures go out in another codec; on a transport made anew, as a sender cannot change its encodings' kind. */
export async function chooseCodec(codec: State['choice']['codec']) {
  set(s => ({ choice: { ...s.choice, codec } }))
  if (!media || media.codec === codec) return
  media.codec = codec
  if (get().own.camera || get().own.screen) await media.renew('publish')
}

/** Another device was chosen: it takes the place of the one in use. */
export async function choose(kind: 'audio' | 'video' | 'output', id: string) {
  const before = get().choice
  set({ choice: { ...before, [kind]: id || undefined } })
  const source = kind === 'audio' ? 'microphone' : 'camera'
  const old = get().own[source], m = media
  if (kind === 'output' || !m || !old) return
  try {
    const track = await (source === 'camera' ? camera(id) : microphone(id))
    track.enabled = old.enabled
    await send(m, [[source, track]])
    old.stop()
  } catch (e) {
    set({ choice: before })
    throw e
  }
}

export const say = (text: string) => ask('chat', { text })

// ---- calls ----

export async function call(to: string, video: boolean) {
  const r = await ask<{ call: string }>('call', { to, media: video ? 'video' : 'audio' })
  set({ call: { state: 'outgoing', call: r.call, to: get().users.find(u => u.user === to)?.display ?? to, video, ringing: false } })
}

export async function accept(video: boolean) {
  const c = get().call
  if (c?.state !== 'incoming') return
  ringer.stop()
  // At once, so that a second click finds nothing to accept.
  set({ call: { state: 'answered', call: c.call, with: c.display, video: c.video } })
  await enterCall(c.call, async () => {
    if (get().room) { exit(); await tell('leave') }
    return (await ask<{ room: string }>('accept', { call: c.call })).room
  }, video)
}

/** An answered call whose room cannot be entered is none. */
async function enterCall(id: string, room: () => Promise<string>, video: boolean) {
  try {
    await join(await room(), video)
  } catch (e) {
    if (get().call?.call !== id || get().room) throw e
    set({ call: undefined })
    await tell('hangup', { call: id })
    throw e
  }
}

export async function refuse() {
  const c = get().call
  ringer.stop()
  if (c?.state === 'answered') return
  set({ call: undefined })
  if (c?.state === 'incoming') await tell('decline', { call: c.call })
  if (c?.state === 'outgoing') await tell('cancel', { call: c.call })
}

// ---- what the server says ----

const change = (id: string, f: (p: Participant) => Participant) =>
  set(s => ({ participants: s.participants.map(p => p.participant === id ? f(p) : p) }))

const withTrack = (tracks: Track[], t: Track) =>
  tracks.some(o => o.track === t.track) ? tracks.map(o => o.track === t.track ? t : o) : [...tracks, t]

function callEvent(e: Event & { call: string }) {
  const c = get().call
  if (e.type === 'ring') {
    if (c?.call === e.call) return
    set({ call: { state: 'incoming', call: e.call, from: e.from, display: e.display, video: e.media === 'video' } })
    ringer.start('incoming')
    return
  }
  if (!c || c.call !== e.call) return
  if (e.type === 'ringing' && c.state === 'outgoing') {
    set({ call: { ...c, ringing: true } })
    ringer.start('outgoing')
    return
  }
  ringer.stop()
  if (e.type === 'accepted' && c.state === 'outgoing') {
    set({ call: { state: 'answered', call: e.call, with: c.to, video: c.video } })
    void attempt(() => enterCall(e.call, async () => e.room, c.video))
    return
  }
  if (e.type === 'answered_elsewhere') notice('info', 'Answered on another device.')
  else notice('info', REASONS[e.type] ?? e.type)
  if (c.state === 'answered') exit()
  set({ call: undefined })
}

function chatEvent(e: Event & { type: 'chat' }) {
  set(s => ({
    chat: [...s.chat.slice(-499), { key: ++chatKey, own: e.participant === s.self, display: e.display, text: e.text, time: e.time }],
    unread: s.chatOpen || e.participant === s.self ? 0 : s.unread + 1,
  }))
}

function event(e: Event) {
  if ('call' in e) { callEvent(e); return }
  switch (e.type) {
    case 'presence':
      set(s => ({ users: [...s.users.filter(u => u.user !== e.user), { user: e.user, display: e.display, state: e.state }] }))
      break
    case 'joined':
      set(s => ({ participants: [...s.participants.filter(p => p.participant !== e.participant.participant), e.participant] }))
      notice('info', `${e.participant.display} joined`)
      break
    case 'left': {
      const gone = get().participants.find(p => p.participant === e.participant)
      set(s => ({ participants: s.participants.filter(p => p.participant !== e.participant), incoming: s.incoming.filter(i => i.participant !== e.participant) }))
      if (gone) notice('info', `${gone.display} left`)
      break
    }
    case 'track_added':
    case 'track_updated':
      change(e.participant, p => ({ ...p, tracks: withTrack(p.tracks, e.track) }))
      break
    case 'track_removed':
      wants?.drop(e.track)
      change(e.participant, p => ({ ...p, tracks: p.tracks.filter(t => t.track !== e.track) }))
      set(s => ({ incoming: s.incoming.filter(i => i.id !== e.track) }))
      break
    case 'offer':
      void media?.offered(e.rev, e.sdp, e.tracks).catch(() => undefined)
      break
    case 'speakers':
      set({ dominant: e.dominant ?? undefined, slots: Object.fromEntries(e.video.flatMap(v => (v.track ? [[v.slot, v.track]] : []))) })
      break
    case 'layers':
      void media?.layers(e.track, e.layers).catch(() => undefined) // a track that ends meanwhile
      break
    case 'media':
      break // our own end of the transport knows as well, and also when signaling is away
    case 'media_reset':
      void media?.reset(e.target).catch((err: Error) => { if (!(err instanceof Lost)) notice('error', err.message) })
      break
    case 'chat':
      chatEvent(e)
      break
    case 'shutdown':
      break // the connection is about to go; signaling comes back by itself
  }
}
