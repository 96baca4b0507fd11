// The two transports of a participant: what we publish (we offer) and what we are sent (the server offers).
import type { OfferedTrack, Published, Source, Target } from './protocol'

export interface Ask { <T = unknown>(type: string, fields?: object): Promise<T> }
export interface Incoming { track: MediaStreamTrack; mid: string; id: string; participant: string }

export interface MediaHandlers {
  incoming: (tracks: Incoming[]) => void
  state: (target: Target, state: RTCPeerConnectionState) => void
  /** A captured track ended by itself: the device was unplugged, or the browser's own "stop sharing". */
  ended: (source: Source) => void
}

interface Sent { transceiver: RTCRtpTransceiver; source: Source; id?: string }

const KBPS: Partial<Record<Source, number>> = { camera: 1_200_000, screen: 2_500_000 }

export class Media {
  private pub?: RTCPeerConnection
  private sub?: RTCPeerConnection
  private sent = new Map<Source, Sent>()
  private received = new Map<string, MediaStreamTrack>() // by mid
  private queue: Promise<unknown> = Promise.resolve()

  constructor(private ask: Ask, private on: MediaHandlers) {}

  get connections() { return { publish: this.pub, subscribe: this.sub } }
  trackId(source: Source) { return this.sent.get(source)?.id }
  sending(source: Source) { return this.sent.get(source)?.transceiver.sender.track ?? null }

  /** Negotiations on one transport come one after another. */
  private serial<T>(f: () => Promise<T>): Promise<T> {
    const run = this.queue.then(f, f)
    this.queue = run.catch(() => undefined)
    return run
  }

  private watch(pc: RTCPeerConnection, target: Target) {
    pc.onconnectionstatechange = () => {
      this.on.state(target, pc.connectionState)
      if (pc.connectionState === 'failed') void this.restart(target).catch(() => undefined)
    }
    return pc
  }

  /** Publishes a track under its source, or puts it in the place of the one there. */
  publish(source: Source, track: MediaStreamTrack): Promise<void> {
    track.addEventListener('ended', () => { if (this.sending(source) === track) this.on.ended(source) })
    return this.serial(async () => {
      const old = this.sent.get(source)
      if (old) { await old.transceiver.sender.replaceTrack(track); return }
      this.pub ??= this.watch(new RTCPeerConnection({ bundlePolicy: 'max-bundle' }), 'publish')
      const encoding = KBPS[source] ? [{ maxBitrate: KBPS[source] }] : undefined
      this.sent.set(source, {
        transceiver: this.pub.addTransceiver(track, { direction: 'sendonly', sendEncodings: encoding }), source })
      await this.offer('publish')
    })
  }

  /** Ends a source for everybody. */
  unpublish(source: Source): Promise<void> {
    return this.serial(async () => {
      const s = this.sent.get(source)
      if (!s) return
      this.sent.delete(source)
      s.transceiver.sender.track?.stop()
      s.transceiver.stop()
      if (s.id) await this.ask('unpublish', { tracks: [s.id] })
      await this.offer('publish')
    })
  }

  private async offer(type: 'publish' | 'restart', iceRestart = false) {
    const pc = this.pub
    if (!pc) return
    await pc.setLocalDescription(await pc.createOffer({ iceRestart }))
    const tracks = [...this.sent.values()].filter(s => s.transceiver.mid !== null)
      .map(s => ({ mid: s.transceiver.mid, source: s.source, muted: !s.transceiver.sender.track?.enabled }))
    const fields = type === 'publish' ? { sdp: pc.localDescription!.sdp, tracks } : { sdp: pc.localDescription!.sdp, target: 'publish' }
    const r = await this.ask<Published>(type, fields)
    await pc.setRemoteDescription({ type: 'answer', sdp: r.sdp })
    for (const { mid, track } of r.tracks)
      for (const s of this.sent.values()) if (s.transceiver.mid === mid) s.id = track
  }

  /** The server's offer; a transport that it lost is made anew. */
  offered(rev: number, sdp: string, tracks: OfferedTrack[]): Promise<void> {
    return this.serial(async () => {
      if (!this.sub) {
        const pc = this.watch(new RTCPeerConnection({ bundlePolicy: 'max-bundle' }), 'subscribe')
        pc.ontrack = e => { if (e.transceiver.mid) this.received.set(e.transceiver.mid, e.track) }
        this.sub = pc
      }
      await this.sub.setRemoteDescription({ type: 'offer', sdp })
      await this.sub.setLocalDescription(await this.sub.createAnswer())
      await this.ask('answer', { rev, sdp: this.sub.localDescription!.sdp })
      this.on.incoming(tracks.flatMap(t => {
        const track = this.received.get(t.mid)
        return track ? [{ track, mid: t.mid, id: t.track, participant: t.participant }] : []
      }))
    })
  }

  restart(target: Target): Promise<void> {
    if (target === 'subscribe') return this.ask<void>('restart', { target })
    return this.serial(() => this.offer('restart', true))
  }

  /** The server lost a transport: ours goes too. What was published is published again. */
  async reset(target: Target) {
    if (target === 'subscribe') {
      this.sub?.close()
      this.sub = undefined
      this.received.clear()
      this.on.incoming([])
      return
    }
    const tracks = [...this.sent.values()].flatMap(s => s.transceiver.sender.track ? [{ source: s.source, track: s.transceiver.sender.track }] : [])
    this.pub?.close()
    this.pub = undefined
    this.sent.clear()
    for (const t of tracks) await this.publish(t.source, t.track)
  }

  close() {
    for (const s of this.sent.values()) s.transceiver.sender.track?.stop()
    this.pub?.close()
    this.sub?.close()
    this.sent.clear()
    this.received.clear()
    this.pub = this.sub = undefined
  }
}

