// One callstack.v1 session: requests with their replies, events, and coming back after the WebSocket was lost.
import { Event, Refused, Resumed, Session } from './protocol'

type Waiting = { resolve: (v: never) => void; reject: (e: Error) => void }
export type Link = 'connecting' | 'open' | 'lost' | 'closed'

export interface Handlers {
  event: (e: Event) => void
  /** The connection went, came back, or is given up. */
  link: (state: Link) => void
  /** Back again; what was missed is either replayed as events or in `r`. */
  resumed: (r: Resumed) => void
  /** The session is over: it ended on the server, or another page took it up. */
  over: (why: 'ended' | 'elsewhere') => void
}

const BACKOFF_MS = [300, 1000, 2000, 4000, 8000]
const OPEN_MS = 10_000
// A connection that dies silently is not noticed by the browser for minutes: ask for a sign of life, and wait so long for it.
const PING_MS = 10_000
const PONG_MS = 8_000
// The server knows of no event so late, so nothing is replayed and the state comes whole.
const NOTHING_SEEN = Number.MAX_SAFE_INTEGER
const TAKEN_UP = 1000

export class Lost extends Error {
  constructor(message = 'The connection to the server was lost.') { super(message) }
}

export class Signaling {
  private ws?: WebSocket
  private refuseOpen?: (e: Error) => void
  private next = 1
  private waiting = new Map<number, Waiting>()
  private seq = 0
  private resume?: string
  private tries = 0
  private ended = false
  private timer?: ReturnType<typeof setTimeout> // for the next try
  private pinger?: ReturnType<typeof setTimeout>
  private first?: { resolve: (r: Resumed) => void; reject: (e: Error) => void } // of takeUp

  constructor(private url: string, private on: Handlers) {}

  get secret() { return this.resume }

  /** Resolves when the connection stands; rejects when it cannot be made. */
  private open(): Promise<void> {
    return new Promise((resolve, reject) => {
      const ws = new WebSocket(this.url, 'callstack.v1')
      const late = setTimeout(() => this.gone(ws, 0), OPEN_MS)
      this.ws = ws
      this.refuseOpen = e => { clearTimeout(late); reject(e) }
      ws.onopen = () => { clearTimeout(late); resolve() }
      ws.onmessage = m => this.frame(JSON.parse(m.data as string))
      ws.onclose = e => this.gone(ws, e.code)
    })
  }

  /** This connection is over, whether the browser has noticed or not. */
  private gone(ws: WebSocket, code: number) {
    if (this.ws !== ws) return
    this.ws = undefined
    ws.onopen = ws.onmessage = ws.onclose = null
    ws.close()
    clearTimeout(this.pinger)
    this.refuseOpen?.(new Lost('The server cannot be reached.'))
    const waiting = [...this.waiting.values()]
    this.waiting.clear()
    for (const w of waiting) w.reject(new Lost())
    if (this.ended || !this.resume) this.on.link('closed')
    else if (code === TAKEN_UP) this.finish('elsewhere')
    else {
      this.on.link('lost')
      this.timer = setTimeout(() => void this.again(), BACKOFF_MS[Math.min(this.tries++, BACKOFF_MS.length - 1)] * (0.5 + Math.random()))
    }
  }

  private frame(f: { re?: number; type: string; code?: string; message?: string; seq?: number }) {
    if (f.re === undefined) {
      this.seq = f.seq ?? this.seq
      this.on.event(f as Event)
      return
    }
    const w = this.waiting.get(f.re)
    this.waiting.delete(f.re)
    if (f.type === 'ok') w?.resolve(f as never)
    else w?.reject(new Refused(f.code ?? 'internal', f.message ?? 'The server refused.'))
  }

  ask<T = unknown>(type: string, fields: object = {}): Promise<T> {
    const ws = this.ws
    if (!ws || ws.readyState !== WebSocket.OPEN) return Promise.reject(new Lost('There is no connection to the server.'))
    const id = this.next++
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve: resolve as Waiting['resolve'], reject })
      ws.send(JSON.stringify({ id, type, ...fields }))
    })
  }

  private ping(ws: WebSocket) {
    clearTimeout(this.pinger)
    this.pinger = setTimeout(() => {
      const late = setTimeout(() => this.gone(ws, 0), PONG_MS)
      this.ask('ping').catch(() => undefined).then(() => {
        clearTimeout(late)
        if (this.ws === ws) this.ping(ws)
      })
    }, PING_MS)
  }

  private adopt<T extends Session>(s: T): T {
    this.resume = s.resume
    this.seq = s.seq
    this.tries = 0
    if (this.ws) this.ping(this.ws)
    this.on.link('open')
    return s
  }

  async login(user: string, password: string): Promise<Session> {
    this.on.link('connecting')
    await this.open()
    return this.adopt(await this.ask<Session>('login', { user, password }))
  }

  /** Takes up the session of an earlier page, as soon as the server can be reached; rejects when that session is over. */
  takeUp(resume: string): Promise<Resumed> {
    this.on.link('connecting')
    this.resume = resume
    this.seq = NOTHING_SEEN
    return new Promise((resolve, reject) => {
      this.first = { resolve, reject }
      void this.again()
    })
  }

  private async again() {
    if (this.ended || this.ws) return
    try {
      await this.open()
      const r = this.adopt(await this.ask<Resumed>('resume', { resume: this.resume, seq: this.seq }))
      const first = this.first
      this.first = undefined
      if (first) first.resolve(r)
      else this.on.resumed(r)
    } catch (e) {
      if (e instanceof Refused && e.code === 'not_found') this.finish('ended')
      else if (e instanceof Refused && this.ws) this.gone(this.ws, 0)
      // Otherwise gone() was here, and a next try is due.
    }
  }

  /** Something speaks for trying now: the network is back, or somebody looks at the page. */
  hurry() {
    if (this.ended || this.ws || !this.resume) return
    clearTimeout(this.timer)
    void this.again()
  }

  private finish(why: 'ended' | 'elsewhere') {
    const first = this.first
    this.end()
    if (first) first.reject(new Refused('not_found', 'That session is over.'))
    else this.on.over(why)
  }

  end() {
    if (this.ended) return
    this.ended = true
    this.resume = this.first = undefined
    clearTimeout(this.timer)
    if (this.ws) this.gone(this.ws, TAKEN_UP)
    else this.on.link('closed')
  }
}
