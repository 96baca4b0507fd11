// The two transports of a participant: what we publish (we offer) and what we are sent (the server offers).
//
// Each may be lost: ICE fails and is restarted; the server forgets it (media_reset, or a description of another SDP session)
// and it is made anew, with the same captured tracks. All of that runs in one queue, one negotiation after another.
import { activate, camera, Codec, preferred, screen } from './encodings'
import { Layer, OfferedTrack, Published, Refused, Source, Target } from './protocol'

export interface Ask { <T = unknown>(type: string, fields?: object): Promise<T> }
/** participant: of a slot nobody's; whoever is in it changes. */
export interface Incoming { track: MediaStreamTrack; mid: string; id: string; participant?: string }
export type Captured = [Source, MediaStreamTrack]

export interface MediaHandlers {
  incoming: (tracks: Incoming[]) => void
  state: (target: Target, state: RTCPeerConnectionState) => void
  /** A captured track ended by itself: the device was unplugged, or the browser's own "stop sharing". */
  ended: (source: Source) => void
}

interface Sent { transceiver: RTCRtpTransceiver; id?: string; layers?: Layer[] }

const RETRY_MS = 3000

/** The session id of a description (RFC 8866 §5.2): another one is another transport. */
export const sessionId = (sdp: string) => /^o=\S+ (\d+) /m.exec(sdp)?.[1]

/** An answer in which the server takes silence as silence (RFC 7587 usedtx): a microphone that hears nothing sends next to nothing. */
export function withDtx(sdp: string) {
  const pt = /^a=rtpmap:(\d+) opus\/48000/im.exec(sdp)?.[1]
  const line = new RegExp(`^(a=fmtp:${pt} (?!.*usedtx)[^\\r\\n]*)`, 'm')
  return pt ? sdp.replace(line, '$1;usedtx=1') : sdp
}

export class Media {
  private pub?: RTCPeerConnection
  private sub?: RTCPeerConnection
  private peer: Partial<Record<Target, string>> = {} // the server's session ids
  private failures = { publish: 0, subscribe: 0 }
  private sent = new Map<Source, Sent>()
  private queue: Promise<unknown> = Promise.resolve()
  private closed = false
  private end!: () => void
  private gone = new Promise<void>(done => { this.end = done })

  constructor(private ask: Ask, private on: MediaHandlers, public codec?: Codec) {}

  get connections() { return { publish: this.pub, subscribe: this.sub } }
  trackId(source: Source) { return this.sent.get(source)?.id }
  sending(source: Source) { return this.sent.get(source)?.transceiver.sender.track ?? null }

  private serial(f: () => Promise<void>): Promise<void> {
    const run = async () => { if (!this.closed) await f() }
    const done = this.queue.then(run, run)
    this.queue = done.catch(() => undefined)
    return Promise.race([done, this.gone]) // what a closed connection was asked for is never answered
  }

  private connect(target: Target) {
    const pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' })
    pc.onconnectionstatechange = () => {
      this.on.state(target, pc.connectionState)
      if (pc.connectionState === 'connected') this.failures[target] = 0
      if (pc.connectionState === 'failed') void this.recover(target, pc)
    }
    return pc
  }

  private current(target: Target) { return target === 'publish' ? this.pub : this.sub }

  /** ICE restart first; what that does not bring back is made anew. While the server cannot be asked, again and again. */
  private async recover(target: Target, pc: RTCPeerConnection) {
    if (this.closed || this.current(target) !== pc || pc.connectionState !== 'failed') return
    try {
      if (this.failures[target]++ === 0) await this.restart(target)
      else await this.renew(target)
    } catch {
      setTimeout(() => void this.recover(target, pc), RETRY_MS)
    }
  }

  // ---- what we send ----

  /** Publishes tracks under their sources, or puts them in the place of the ones there. */
  publish(list: Captured[]): Promise<void> {
    for (const [source, track] of list)
      track.addEventListener('ended', () => { if (this.sending(source) === track) this.on.ended(source) })
    return this.serial(async () => {
      const fresh: Source[] = []
      for (const [source, track] of list) {
        const old = this.sent.get(source)
        if (old) await old.transceiver.sender.replaceTrack(track)
        else { this.add(source, track); fresh.push(source) }
      }
      if (fresh.length === 0) return
      try {
        await this.offer()
      } catch (e) {
        if (e instanceof Refused) for (const source of fresh) this.take(source)
        throw e // without a connection it stays, and is offered once that is back: resync()
      }
    })
  }

  private add(source: Source, track: MediaStreamTrack) {
    this.pub ??= this.connect('publish')
    const { width, height } = track.getSettings()
    const sendEncodings = source === 'camera' ? camera(width, height, this.codec) : source === 'screen' ? screen(this.codec) : undefined
    const transceiver = this.pub.addTransceiver(track, { direction: 'sendonly', sendEncodings })
    const codecs = track.kind === 'video' && preferred(RTCRtpReceiver.getCapabilities('video')?.codecs ?? [], this.codec)
    if (codecs) transceiver.setCodecPreferences(codecs)
    this.sent.set(source, { transceiver })
  }

  private async activate({ transceiver: { sender } }: Sent, layers: Layer[]) {
    const parameters = sender.getParameters()
    const encodings = activate(parameters.encodings, layers)
    if (encodings) await sender.setParameters({ ...parameters, encodings })
  }

  /** Which encodings of what we publish as `id` are watched by anybody. */
  layers(id: string, layers: Layer[]): Promise<void> {
    return this.serial(async () => {
      for (const s of this.sent.values())
        if (s.id === id) { s.layers = layers; await this.activate(s, layers) }
    })
  }

  /** Signaling is away, and nobody can tell us that somebody came: all of them. */
  allLayers(): Promise<void> {
    return this.serial(async () => { for (const s of this.sent.values()) if (s.layers) await this.activate(s, []) })
  }

  private take(source: Source): Sent | undefined {
    const s = this.sent.get(source)
    this.sent.delete(source)
    s?.transceiver.sender.track?.stop()
    s?.transceiver.stop()
    return s
  }

  /** Ends sources for everybody. */
  unpublish(sources: Source[]): Promise<void> {
    for (const source of sources) this.sending(source)?.stop() // at once: the camera's light goes out
    return this.serial(async () => {
      const gone = sources.flatMap(source => this.take(source) ?? [])
      const tracks = gone.flatMap(s => s.id ?? [])
      if (tracks.length) await this.ask('unpublish', { tracks }).catch(e => { if (!(e instanceof Refused)) throw e })
      if (gone.length) await this.offer()
    })
  }

  private async offer(iceRestart = false) {
    const pc = this.pub
    if (!pc) return
    await pc.setLocalDescription(await pc.createOffer({ iceRestart }))
    if (this.closed) return // or it would be said of the next room
    const tracks = [...this.sent].flatMap(([source, { transceiver: t }]) =>
      t.mid === null ? [] : [{ mid: t.mid, source, muted: !t.sender.track?.enabled }])
    const r = await this.ask<Published>('publish', { sdp: pc.localDescription!.sdp, tracks })
    if (this.pub !== pc || this.closed) return
    const id = sessionId(r.sdp)
    if (this.peer.publish && id !== this.peer.publish) {
      await this.republish() // the server made a transport of its own for this; ours talks to one that is gone
      return
    }
    this.peer.publish = id
    await pc.setRemoteDescription({ type: 'answer', sdp: withDtx(r.sdp) })
    for (const { mid, track } of r.tracks)
      for (const s of this.sent.values()) if (s.transceiver.mid === mid) s.id = track
  }

  private async republish() {
    const tracks = [...this.sent].flatMap(([source, s]) => s.transceiver.sender.track ? [[source, s.transceiver.sender.track] as Captured] : [])
    this.pub?.close()
    this.pub = undefined
    this.peer.publish = undefined
    this.sent.clear()
    for (const [source, track] of tracks) this.add(source, track)
    if (tracks.length) await this.offer()
    else this.on.state('publish', 'new')
  }

  // ---- what we are sent ----

  /** The server's offer; a transport that it lost is made anew. */
  offered(rev: number, sdp: string, tracks: OfferedTrack[]): Promise<void> {
    return this.serial(async () => {
      const id = sessionId(sdp)
      if (this.sub && id !== this.peer.subscribe) this.forget()
      const pc = this.sub ??= this.connect('subscribe')
      this.peer.subscribe = id
      await pc.setRemoteDescription({ type: 'offer', sdp })
      await pc.setLocalDescription(await pc.createAnswer())
      if (this.closed) return
      await this.ask('answer', { rev, sdp: pc.localDescription!.sdp })
      this.on.incoming(tracks.flatMap(t => {
        const track = pc.getTransceivers().find(o => o.mid === t.mid)?.receiver.track
        return track ? [{ track, mid: t.mid, id: t.track, participant: t.participant }] : []
      }))
    }).catch(e => {
      if (this.closed) return
      // A refusal: a newer offer is on its way. No connection: the offer comes again with the next.
      if (e instanceof DOMException) return this.renew('subscribe')
    })
  }

  private forget() {
    this.sub?.close()
    this.sub = undefined
    this.on.incoming([])
    this.on.state('subscribe', 'new')
  }

  // ---- coming back ----

  private restart(target: Target): Promise<void> {
    if (target === 'subscribe') return this.ask<void>('restart', { target })
    return this.serial(() => this.offer(true))
  }

  /** Our end of a transport is made anew, and the server's with it: another certificate tells it so. */
  renew(target: Target): Promise<void> {
    if (target === 'publish') return this.serial(() => this.republish())
    return this.serial(async () => { this.forget(); await this.ask('restart', { target }) })
  }

  /** Nothing is sent any more, nor what an earlier page sent: an offer with nothing in it says so. */
  withdraw(): Promise<void> {
    return this.serial(async () => {
      this.pub?.close()
      this.sent.clear()
      this.peer.publish = undefined
      this.pub = this.connect('publish')
      this.pub.addTransceiver('audio', { direction: 'inactive' })
      await this.offer()
    })
  }

  /** The server lost a transport: ours goes too. What was published is published again, and it will offer what it sends. */
  reset(target: Target): Promise<void> {
    return this.serial(async () => { if (target === 'publish') await this.republish(); else this.forget() })
  }

  /** Signaling was away: what we publish, and whether it is muted, is said again if the server may not know. */
  resync(whole: boolean): Promise<void> {
    return this.serial(async () => {
      if (this.pub && (!whole || this.pub.signalingState !== 'stable')) await this.offer()
      // What was said of layers holds on, unless it may have been taken back unheard.
      for (const s of this.sent.values()) if (whole && s.layers) await this.activate(s, s.layers)
    })
  }

  close() {
    this.closed = true
    this.end()
    for (const s of this.sent.values()) s.transceiver.sender.track?.stop()
    this.pub?.close()
    this.sub?.close()
    this.sent.clear()
    this.pub = this.sub = undefined
  }
}
