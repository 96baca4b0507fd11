// @vitest-environment node
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Event, Resumed } from './protocol'
import { Link, Lost, Signaling } from './signaling'

class FakeSocket {
  static readonly OPEN = 1
  static all: FakeSocket[] = []
  static get last() { return FakeSocket.all[FakeSocket.all.length - 1] }
  readyState = 0
  sent: { id: number; type: string; [key: string]: unknown }[] = []
  onopen: (() => void) | null = null
  onmessage: ((m: { data: string }) => void) | null = null
  onclose: ((e: { code: number }) => void) | null = null
  constructor(readonly url: string, readonly protocol: string) { FakeSocket.all.push(this) }
  send(text: string) { this.sent.push(JSON.parse(text)) }
  close() { this.readyState = 3 }

  // What the server and the network do:
  opens() { this.readyState = 1; this.onopen?.() }
  says(frame: object) { this.onmessage?.({ data: JSON.stringify(frame) }) }
  breaks(code = 1006) { this.readyState = 3; this.onclose?.({ code }) }
  answers(fields: object) { this.says({ re: this.sent[this.sent.length - 1].id, type: 'ok', ...fields }) }
  refuses(code: string) { this.says({ re: this.sent[this.sent.length - 1].id, type: 'error', code, message: code }) }
}

const turn = () => vi.advanceTimersByTimeAsync(0)
const identity = { user: 'u', display: 'U', session: 's', resume_ttl: 60, token: 't', server: '1' }
let links: Link[], events: Event[], resumed: Resumed[], over: string[]
let s: Signaling

beforeEach(() => {
  vi.useFakeTimers()
  vi.stubGlobal('WebSocket', FakeSocket)
  FakeSocket.all = []
  links = []; events = []; resumed = []; over = []
  s = new Signaling('wss://x/ws', {
    link: l => links.push(l), event: e => events.push(e), resumed: r => resumed.push(r), over: why => over.push(why) })
})
afterEach(() => {
  s.end()
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

async function login() {
  const done = s.login('u', 'p')
  FakeSocket.last.opens()
  await turn()
  FakeSocket.last.answers({ ...identity, resume: 'r1', seq: 3 })
  await done
}

async function comesBack(fields: object) {
  await vi.advanceTimersByTimeAsync(500)
  FakeSocket.last.opens()
  await turn()
  FakeSocket.last.answers({ ...identity, replayed: true, ...fields })
  await turn()
}

describe('signaling', () => {
  it('logs in with the subprotocol, and gives each reply to its request', async () => {
    await login()
    expect(FakeSocket.last.protocol).toBe('callstack.v1')
    expect(FakeSocket.last.sent[0]).toMatchObject({ type: 'login', user: 'u', password: 'p' })
    expect(links).toEqual(['connecting', 'open'])
    const [a, b] = [s.ask<{ n: number }>('ping'), s.ask('leave')]
    const [ping, leave] = FakeSocket.last.sent.slice(1)
    FakeSocket.last.says({ re: leave.id, type: 'error', code: 'conflict', message: 'not in a room' })
    FakeSocket.last.says({ re: ping.id, type: 'ok', n: 7 })
    await expect(a).resolves.toMatchObject({ n: 7 })
    await expect(b).rejects.toMatchObject({ code: 'conflict', message: 'not in a room' })
  })

  it('says that the server cannot be reached, and does not try on without a session', async () => {
    const done = s.login('u', 'p')
    FakeSocket.last.breaks()
    await expect(done).rejects.toBeInstanceOf(Lost)
    await vi.advanceTimersByTimeAsync(60_000)
    expect(FakeSocket.all).toHaveLength(1)
    expect(links).toEqual(['connecting', 'closed'])
  })

  it('resumes with the newest secret behind the last event', async () => {
    await login()
    FakeSocket.last.says({ seq: 4, type: 'shutdown', reason: '' })
    const pending = s.ask('ping')
    FakeSocket.last.breaks()
    await expect(pending).rejects.toBeInstanceOf(Lost)
    await expect(s.ask('ping')).rejects.toBeInstanceOf(Lost)
    await comesBack({ resume: 'r2', seq: 4 })
    expect(FakeSocket.last.sent[0]).toMatchObject({ type: 'resume', resume: 'r1', seq: 4 })
    expect(resumed).toHaveLength(1)
    FakeSocket.last.says({ seq: 5, type: 'shutdown', reason: '' })
    FakeSocket.last.breaks()
    await comesBack({ resume: 'r3', seq: 1_000_005, replayed: false })
    expect(FakeSocket.last.sent[0]).toMatchObject({ resume: 'r2', seq: 5 })
    FakeSocket.last.breaks()
    await comesBack({ resume: 'r4', seq: 1_000_005 })
    expect(FakeSocket.last.sent[0]).toMatchObject({ seq: 1_000_005 })
    expect(events.map(e => e.seq)).toEqual([4, 5])
    expect(links.slice(2)).toEqual(['lost', 'open', 'lost', 'open', 'lost', 'open'])
  })

  it('backs off while the server is away, and hurries when told', async () => {
    await login()
    FakeSocket.last.breaks()
    for (let i = 0; i < 6; i++) {
      const n = FakeSocket.all.length
      while (FakeSocket.all.length === n) await vi.advanceTimersByTimeAsync(100)
      FakeSocket.last.breaks()
    }
    const n = FakeSocket.all.length
    await vi.advanceTimersByTimeAsync(3_900)
    expect(FakeSocket.all).toHaveLength(n)
    s.hurry()
    s.hurry()
    expect(FakeSocket.all).toHaveLength(n + 1)
  })

  it('tries again when resuming is refused for now, and gives up when the session is over', async () => {
    await login()
    FakeSocket.last.breaks()
    await vi.advanceTimersByTimeAsync(1000)
    FakeSocket.last.opens()
    await turn()
    FakeSocket.last.refuses('internal')
    await turn()
    expect(over).toEqual([])
    await vi.advanceTimersByTimeAsync(20_000)
    FakeSocket.last.opens()
    await turn()
    FakeSocket.last.refuses('not_found')
    await turn()
    expect(over).toEqual(['ended'])
    expect(s.secret).toBeUndefined()
  })

  it('ends when another page took the session up', async () => {
    await login()
    FakeSocket.last.breaks(1000)
    expect(over).toEqual(['elsewhere'])
    await vi.advanceTimersByTimeAsync(60_000)
    expect(FakeSocket.all).toHaveLength(1)
  })

  it('notices a connection that died in silence, and one that never opens', async () => {
    await login()
    await vi.advanceTimersByTimeAsync(10_000)
    expect(FakeSocket.last.sent[1]).toMatchObject({ type: 'ping' })
    FakeSocket.last.answers({})
    await vi.advanceTimersByTimeAsync(10_000)
    expect(links).not.toContain('lost')
    await vi.advanceTimersByTimeAsync(8_000)
    expect(links).toContain('lost')
    await vi.advanceTimersByTimeAsync(1_000)
    expect(FakeSocket.all).toHaveLength(2)
    await vi.advanceTimersByTimeAsync(20_000)
    expect(FakeSocket.all.length).toBeGreaterThan(2)
  })

  it('takes up an earlier page\'s session, asking for all of its state, once the server is there', async () => {
    const done = s.takeUp('kept')
    FakeSocket.last.breaks()
    await vi.advanceTimersByTimeAsync(1000)
    FakeSocket.last.opens()
    await turn()
    expect(FakeSocket.last.sent[0]).toMatchObject({ type: 'resume', resume: 'kept', seq: Number.MAX_SAFE_INTEGER })
    FakeSocket.last.answers({ ...identity, resume: 'r1', seq: 9, replayed: false, room: 'x' })
    await expect(done).resolves.toMatchObject({ room: 'x' })
    expect(resumed).toEqual([])
  })

  it('rejects taking up a session that is over', async () => {
    const done = s.takeUp('kept')
    FakeSocket.last.opens()
    await turn()
    FakeSocket.last.refuses('not_found')
    await expect(done).rejects.toMatchObject({ code: 'not_found' })
    expect(over).toEqual([])
  })
})
