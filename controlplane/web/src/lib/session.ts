// What the user does, and what the server says: the one place that drives signaling, media and the store.
import { camera, microphone, screen } from './devices'
import { Media } from './media'
import { Event, Joined, Participant, Refused, Resumed, Session, Source, Track, User } from './protocol'
import { Ringer } from './ring'
import { Signaling } from './signaling'
import { get, leaveRoom, notice, set } from './store'

const KEPT = 'callstack.resume'
const url = `${location.protocol === 'http:' ? 'ws' : 'wss'}://${location.host}/ws`
const ringer = new Ringer()
let signaling: Signaling | undefined
let media: Media | undefined
let chatKey = 0

export const connections = () => media?.connections ?? {}

const REASONS: Record<string, string> = {
  declined: 'The call was declined.', busy: 'They are in another call.', no_answer: 'Nobody answered.', cancelled: 'The caller hung up.',
  failed: 'They are not online.', ended: 'The call ended.',
}

/** Runs what a click asked for; what goes wrong is shown. */
export async function attempt(f: () => Promise<unknown>) {
  set({ busy: true })
  try { await f() } catch (e) { notice('error', e instanceof Error ? e.message : String(e)) } finally { set({ busy: false }) }
}

function ask<T = unknown>(type: string, fields?: object): Promise<T> {
  return signaling ? signaling.ask<T>(type, fields) : Promise.reject(new Error('Not connected.'))
}

// ---- who we are ----

function keep() {
  if (signaling?.secret) sessionStorage.setItem(KEPT, signaling.secret)
  else sessionStorage.removeItem(KEPT)
}

async function arrived(s: Session) {
  keep()
  set({ me: { user: s.user, display: s.display } })
  const { users } = await ask<{ users: User[] }>('presence')
  set({ users })
}

function connect() {
  signaling = new Signaling(url, {
    event, link: link => set({ link }), resumed: r => void resumed(r).catch(() => undefined),
    over: () => { loggedOut(); notice('info', 'You were logged out. Log in again.') },
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

/** The page was loaded again: the session goes on, its room is entered anew, since the old media went with the old page. */
export async function takeUp() {
  const secret = sessionStorage.getItem(KEPT)
  if (!secret) return
  try {
    const r = await connect().takeUp(secret)
    if (r.room) await ask('leave')
    await arrived(r)
    if (r.room && !r.room.startsWith('call-')) await join(r.room)
  } catch {
    sessionStorage.removeItem(KEPT)
    signaling?.end()
  }
}

/** The WebSocket is back, the page and its media never went. */
async function resumed(r: Resumed) {
  keep()
  await ask<{ users: User[] }>('presence').then(({ users }) => set({ users }))
  if (get().room && r.room !== get().room) {
    const room = get().room!
    const sources = Object.keys(get().own)
    exit()
    notice('info', 'The connection was lost for too long; entering the room again.')
    if (!room.startsWith('call-')) await join(room, sources.includes('camera'))
  } else if (!r.replayed && r.participants) {
    set({ participants: r.participants })
  }
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

// ---- rooms ----

async function start(source: 'microphone' | 'camera') {
  const track = await (source === 'camera' ? camera(get().choice.video) : microphone(get().choice.audio))
  await send(source, track)
}

async function send(source: Source, track: MediaStreamTrack) {
  await media!.publish(source, track)
  set(s => ({ own: { ...s.own, [source]: track } }))
}

export async function join(room: string, video = true) {
  const j = await ask<Joined>('join', { room })
  media = new Media(ask, {
    incoming: incoming => set({ incoming }),
    state: () => undefined,
    ended: source => void attempt(() => stop(source)),
  })
  set({ room: j.room, self: j.participant, participants: j.participants })
  // One may listen without a microphone, and talk without a camera: say what is missing and go on.
  for (const source of video ? (['microphone', 'camera'] as const) : (['microphone'] as const))
    await start(source).catch((e: Error) => notice('error', e.message))
}

function exit() {
  media?.close()
  media = undefined
  leaveRoom()
}

export async function leave() {
  const { call } = get()
  exit()
  set({ call: undefined })
  if (call?.state === 'answered') await ask('hangup', { call: call.call })
  else await ask('leave')
}

// ---- what we send ----

export async function toggleMicrophone() {
  const track = get().own.microphone
  if (!track) { await start('microphone'); set({ muted: false }); return }
  track.enabled = !track.enabled
  set({ muted: !track.enabled })
  const id = media?.trackId('microphone')
  if (id) await ask('mute', { track: id, muted: !track.enabled })
}

async function stop(source: Source) {
  await media?.unpublish(source)
  set(s => { const own = { ...s.own }; delete own[source]; return { own } })
}

export const toggleCamera = () => (get().own.camera ? stop('camera') : start('camera'))

export async function toggleScreen() {
  if (get().own.screen) {
    await stop('screen_audio')
    await stop('screen')
    return
  }
  for (const track of await screen()) await send(track.kind === 'video' ? 'screen' : 'screen_audio', track)
}

/** Another device was chosen: it takes the place of the one in use. */
export async function choose(kind: 'audio' | 'video' | 'output', id: string) {
  set(s => ({ choice: { ...s.choice, [kind]: id || undefined } }))
  const source = kind === 'audio' ? 'microphone' : 'camera'
  const old = get().own[source]
  if (kind === 'output' || !media || !old) return
  const track = await (source === 'camera' ? camera(id) : microphone(id))
  track.enabled = old.enabled
  await send(source, track)
  old.stop()
}

export const say = (text: string) => ask('chat', { text })

// ---- calls ----

export async function call(to: string, video: boolean) {
  const r = await ask<{ call: string }>('call', { to, media: video ? 'video' : 'audio' })
  // Its events may have come first and ended it already.
  set(s => s.call ? {} : { call: { state: 'outgoing', call: r.call, to, video, ringing: false } })
}

export async function accept(video: boolean) {
  const c = get().call
  if (c?.state !== 'incoming') return
  ringer.stop()
  const { room } = await ask<{ room: string }>('accept', { call: c.call })
  set({ call: { state: 'answered', call: c.call, with: c.display, video: c.video } })
  await join(room, video)
}

export async function refuse() {
  const c = get().call
  ringer.stop()
  set({ call: undefined })
  if (c?.state === 'incoming') await ask('decline', { call: c.call })
  if (c?.state === 'outgoing') await ask('cancel', { call: c.call })
}

// ---- what the server says ----

const change = (id: string, f: (p: Participant) => Participant) =>
  set(s => ({ participants: s.participants.map(p => p.participant === id ? f(p) : p) }))

const withTrack = (tracks: Track[], t: Track) =>
  tracks.some(o => o.track === t.track) ? tracks.map(o => o.track === t.track ? t : o) : [...tracks, t]

function callEvent(e: Event & { call: string }) {
  const c = get().call
  if (e.type === 'ring') {
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
    void attempt(() => join(e.room, c.video))
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
      change(e.participant, p => ({ ...p, tracks: p.tracks.filter(t => t.track !== e.track) }))
      set(s => ({ incoming: s.incoming.filter(i => i.id !== e.track) }))
      break
    case 'offer':
      void media?.offered(e.rev, e.sdp, e.tracks).catch(() => undefined)
      break
    case 'media':
      set(s => ({ media: { ...s.media, [e.target]: e.state } }))
      break
    case 'media_reset':
      void media?.reset(e.target).catch((err: Error) => notice('error', err.message))
      break
    case 'chat':
      chatEvent(e)
      break
    case 'shutdown':
      break // the connection is about to go; signaling comes back by itself
  }
}
