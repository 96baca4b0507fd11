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
  /** The session is over on the server: log in anew. */
  over: () => void
}

const BACKOFF_MS = [300, 1000, 2000, 4000, 8000]

export class Signaling {
  private ws?: WebSocket
  private next = 1
  private waiting = new Map<number, Waiting>()
  private seq = 0
  private resume?: string
  private tries = 0
  private ended = false

  constructor(private url: string, private on: Handlers) {}

  /** Resolves when the connection stands; rejects when it cannot be made. */
  private open(): Promise<void> {
    return new Promise((resolve, reject) => {
      const ws = new WebSocket(this.url, 'callstack.v1')
      this.ws = ws
      ws.onopen = () => resolve()
      ws.onmessage = m => this.frame(JSON.parse(m.data as string))
      ws.onclose = e => {
        reject(new Error('The server cannot be reached.'))
        for (const w of this.waiting.values()) w.reject(new Error('The connection was lost.'))
        this.waiting.clear()
        if (this.ws === ws) this.lost(e.code)
      }
    })
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
    if (!ws || ws.readyState !== WebSocket.OPEN) return Promise.reject(new Error('Not connected.'))
    const id = this.next++
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve: resolve as Waiting['resolve'], reject })
      ws.send(JSON.stringify({ id, type, ...fields }))
    })
  }

  async login(user: string, password: string): Promise<Session> {
    this.on.link('connecting')
    await this.open()
    return this.adopt(await this.ask<Session>('login', { user, password }))
  }

  /** Takes up a session of an earlier page. */
  async takeUp(resume: string): Promise<Resumed> {
    this.on.link('connecting')
    await this.open()
    return this.adopt(await this.ask<Resumed>('resume', { resume, seq: 0 }))
  }

  private adopt<T extends Session>(s: T): T {
    this.resume = s.resume
    this.seq = Math.max(this.seq, s.seq)
    this.tries = 0
    this.on.link('open')
    return s
  }

  get secret() { return this.resume }

  private lost(code: number) {
    this.ws = undefined
    if (this.ended || !this.resume) { this.on.link('closed'); return }
    if (code === 1000) { this.end(); this.on.over(); return } // resumed from another page
    this.on.link('lost')
    const wait = BACKOFF_MS[Math.min(this.tries++, BACKOFF_MS.length - 1)]
    setTimeout(() => void this.again(), wait * (0.5 + Math.random()))
  }

  private async again() {
    if (this.ended) return
    try {
      const seen = this.seq
      await this.open()
      const r = await this.ask<Resumed>('resume', { resume: this.resume, seq: seen })
      this.adopt(r)
      this.on.resumed(r)
    } catch (e) {
      if (e instanceof Refused && e.code === 'not_found') { this.end(); this.on.over() }
      // Otherwise onclose comes, or came, and tries again.
      else if (e instanceof Refused) this.ws?.close()
    }
  }

  end() {
    this.ended = true
    this.resume = undefined
    this.ws?.close(1000)
    this.on.link('closed')
  }
}
