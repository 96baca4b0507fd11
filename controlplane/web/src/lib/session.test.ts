// @vitest-environment node
import { beforeEach, describe, expect, it, vi } from 'vitest'
import type { Event } from './protocol'
import type { Handlers } from './signaling'

// The page around it, as little as session.ts looks at.
vi.hoisted(() => {
  const kept = new Map<string, string>()
  Object.assign(globalThis, {
    location: { protocol: 'https:', host: 'x' }, addEventListener() {}, document: { addEventListener() {}, hidden: false },
    sessionStorage: { getItem: (k: string) => kept.get(k) ?? null, setItem: (k: string, v: string) => kept.set(k, v), removeItem: (k: string) => kept.delete(k) },
  })
})

const server = vi.hoisted(() => ({
  asked: [] as { type: string; [key: string]: unknown }[], down: false, on: undefined as unknown as Handlers,
  replies: {} as Record<string, () => object>,
}))
vi.mock('./signaling', () => {
  class Lost extends Error {}
  class Signaling {
    secret = 'secret'
    constructor(_url: string, on: Handlers) { server.on = on }
    async login() { return { user: 'me', display: 'Me', seq: 0 } }
    async ask(type: string, fields: object) {
      if (server.down) throw new Lost('lost')
      server.asked.push({ type, ...fields })
      return server.replies[type]?.() ?? {}
    }
    hurry() {}
    end() {}
  }
  return { Lost, Signaling }
})
vi.mock('./ring', () => ({ Ringer: class { start() {} stop() {} } }))
vi.mock('./devices', () => ({
  both: async () => ({ problems: ['There is no camera on this device.'] }),
  microphone: async () => { throw new Error('There is no microphone on this device.') },
}))

import { Refused } from './protocol'
import { accept, act, attempt, call, join, leave, login, pin, refuse, shows } from './session'
import { get } from './store'

const people = [{ user: 'anna', display: 'Anna', state: 'online' as const }]
const anna = { participant: 'p2', user: 'anna', display: 'Anna', tracks: [] }
let seq = 0
const say = (e: object) => server.on.event({ seq: ++seq, ...e } as Event)
const asked = (type: string) => server.asked.filter(a => a.type === type)
const settle = () => new Promise(resolve => setTimeout(resolve, 0))

beforeEach(async () => {
  server.down = false
  server.asked = []
  server.replies = {
    presence: () => ({ users: people }), call: () => ({ call: 'c1', room: 'call-c1' }), accept: () => ({ room: 'call-c1' }),
    join: () => ({ room: 'kitchen', participant: 'p1', participants: [anna] }),
  }
  await login('me', 'x')
  if (get().room) await leave()
  await refuse()
  server.asked = []
})

describe('calls', () => {
  it('goes from calling to ringing to a room', async () => {
    await call('anna', true)
    expect(get().call).toMatchObject({ state: 'outgoing', to: 'Anna', ringing: false })
    say({ type: 'ringing', call: 'c1' })
    expect(get().call).toMatchObject({ ringing: true })
    say({ type: 'accepted', call: 'c1', room: 'call-c1' })
    await settle()
    expect(asked('join')).toMatchObject([{ room: 'call-c1' }])
    expect(get().room).toBe('kitchen')
    expect(get().notices.map(n => n.text)).toContain('There is no camera on this device.')
    say({ type: 'ended', call: 'c1', reason: 'hangup' })
    expect(get()).toMatchObject({ room: undefined, call: undefined, participants: [] })
  })

  it.each([['declined', 'The call was declined.'], ['busy', 'They are in another call.'], ['no_answer', 'Nobody answered.'],
    ['failed', 'They are not online.']])('says what came of it: %s', async (type, words) => {
    await call('anna', false)
    say({ type, call: 'c1' })
    expect(get().call).toBeUndefined()
    expect(get().notices.at(-1)!.text).toBe(words)
  })

  it('ignores what is said of other calls, and the same ring twice', async () => {
    say({ type: 'ring', call: 'c2', from: 'anna', display: 'Anna', media: 'audio', room: 'call-c2' })
    const c = get().call
    say({ type: 'ring', call: 'c2', from: 'anna', display: 'Anna', media: 'audio', room: 'call-c2' })
    say({ type: 'cancelled', call: 'c9' })
    expect(get().call).toBe(c)
    say({ type: 'answered_elsewhere', call: 'c2' })
    expect(get().call).toBeUndefined()
  })

  it('accepts once, and leaves the room it is in', async () => {
    await join('kitchen')
    say({ type: 'ring', call: 'c1', from: 'anna', display: 'Anna', media: 'audio', room: 'call-c1' })
    await Promise.all([accept(false), accept(false)])
    expect(server.asked.map(a => a.type)).toEqual(['join', 'leave', 'accept', 'join'])
  })

  it('has no call left when accepting is refused', async () => {
    say({ type: 'ring', call: 'c1', from: 'anna', display: 'Anna', media: 'audio', room: 'call-c1' })
    server.replies.accept = () => { throw new Refused('not_found', 'that call is over') }
    await expect(accept(false)).rejects.toThrow('that call is over')
    expect(get().call).toBeUndefined()
  })

  it('says later what it could not say without a connection', async () => {
    await call('anna', false)
    server.down = true
    await refuse()
    expect(get().call).toBeUndefined()
    server.down = false
    server.on.resumed({ replayed: true } as never)
    await settle()
    expect(asked('cancel')).toMatchObject([{ call: 'c1' }])
  })
})

describe('rooms', () => {
  it('follows who is there and what they send', async () => {
    await join('kitchen')
    const track = { track: 't1', kind: 'audio', source: 'microphone', muted: false }
    say({ type: 'joined', participant: { participant: 'p3', user: 'bo', display: 'Bo', tracks: [] } })
    say({ type: 'track_added', participant: 'p3', track })
    say({ type: 'track_updated', participant: 'p3', track: { ...track, muted: true } })
    expect(get().participants.find(p => p.participant === 'p3')!.tracks).toEqual([{ ...track, muted: true }])
    say({ type: 'track_removed', participant: 'p3', track: 't1' })
    expect(get().participants.find(p => p.participant === 'p3')!.tracks).toEqual([])
    say({ type: 'left', participant: 'p3', reason: 'left' })
    expect(get().participants).toEqual([anna])
  })

  it('counts what was not read, but not one\'s own', async () => {
    await join('kitchen')
    for (const participant of ['p2', 'p1', 'p2']) say({ type: 'chat', participant, user: '', display: '', text: 'hm', time: 0 })
    expect(get()).toMatchObject({ unread: 1 })
    expect(get().chat.map(m => m.own)).toEqual([false, true, false])
  })

  it('enters again when the server forgot it, but not a call', async () => {
    await join('kitchen')
    server.on.resumed({ replayed: false } as never)
    await settle()
    expect(asked('join')).toHaveLength(2)
    expect(get().room).toBe('kitchen')
    await leave()
    await call('anna', false)
    server.replies.join = () => ({ room: 'call-c1', participant: 'p1', participants: [] })
    say({ type: 'accepted', call: 'c1', room: 'call-c1' })
    await settle()
    server.on.resumed({ replayed: false } as never)
    await settle()
    expect(get()).toMatchObject({ room: undefined, call: undefined })
  })

  it('leaves a room that only the server thinks it is in', async () => {
    server.on.resumed({ replayed: true, room: 'kitchen', participants: [] } as never)
    await settle()
    expect(asked('leave')).toHaveLength(1)
  })
})

describe('actions', () => {
  it('run one at a time; what goes wrong is shown', async () => {
    let finish = () => {}
    const slow = vi.fn(() => new Promise<void>(resolve => { finish = resolve }))
    const first = act(slow)
    expect(get().busy).toBe(true)
    await act(slow)
    expect(slow).toHaveBeenCalledTimes(1)
    await attempt(async () => { throw new Error('no way') })
    expect(get().busy).toBe(true)
    expect(get().notices.at(-1)).toMatchObject({ kind: 'error', text: 'no way' })
    finish()
    await first
    expect(get().busy).toBe(false)
  })
})

describe('speakers', () => {
  it('are who has the floor and who is in which slot, until the room is left', async () => {
    await join('kitchen')
    say({ type: 'speakers', dominant: 'p2', audio: [{ slot: 's1', participant: 'p2', track: 't1' }],
      video: [{ slot: 's2', participant: 'p2', track: 't2' }, { slot: 's3', participant: null, track: null }] })
    expect(get()).toMatchObject({ dominant: 'p2', slots: { s2: 't2' } })
    expect(Object.keys(get().slots)).toEqual(['s2'])
    say({ type: 'speakers', dominant: null, audio: [], video: [] })
    expect(get()).toMatchObject({ dominant: undefined, slots: {} })
    pin('p2')
    expect(get().pinned).toBe('p2')
    pin('p2')
    expect(get().pinned).toBeUndefined()
    pin('p2')
    say({ type: 'speakers', dominant: 'p2', audio: [], video: [] })
    await leave()
    expect(get()).toMatchObject({ dominant: undefined, pinned: undefined, slots: {} })
  })

  it('says no size of what is not received', async () => {
    vi.useFakeTimers()
    await join('kitchen')
    shows('t9', 300, true)
    await vi.advanceTimersByTimeAsync(1000)
    expect(asked('quality')).toEqual([])
    vi.useRealTimers()
  })
})
