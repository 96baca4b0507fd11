// A small callstack.v1 client, put into a page by the stories: signaling by hand, everything else is the browser's.
// Knows nothing of the product's own web client, so that a fault in the one does not hide in the other.
class CallStackClient {
  constructor (url) {
    this.url = url; this.next = 1; this.waiting = new Map(); this.events = []; this.listeners = [];
    this.seq = 0; this.tracks = new Map(); this.pub = null; this.sub = null; this.mids = {};
  }
  connect () {
    return new Promise((resolve, reject) => {
      const ws = this.ws = new WebSocket(this.url, 'callstack.v1');
      ws.onopen = () => resolve();
      ws.onerror = () => reject(new Error('WebSocket refused'));
      ws.onclose = e => { this.closed = { code: e.code, reason: e.reason }; for (const w of this.waiting.values()) w.reject(new Error('closed ' + e.code)); };
      ws.onmessage = m => this.frame(JSON.parse(m.data));
    });
  }
  frame (f) {
    if (f.re) { const w = this.waiting.get(f.re); this.waiting.delete(f.re); f.type === 'ok' ? w.resolve(f) : w.reject(Object.assign(new Error(f.code + ': ' + f.message), { code: f.code })); return; }
    this.seq = f.seq; f.at = performance.now(); this.events.push(f);
    if (f.type === 'offer') this.offered(f).catch(e => { this.error = String(e); });
    this.listeners = this.listeners.filter(l => !(l.match(f) && (l.resolve(f), true)));
  }
  ask (type, fields = {}) {
    const id = this.next++;
    return new Promise((resolve, reject) => { this.waiting.set(id, { resolve, reject }); this.ws.send(JSON.stringify({ id, type, ...fields })); });
  }
  event (type, ms = 10000, match = () => true, past = true) {
    const m = f => f.type === type && match(f);
    const had = past && this.events.find(m);
    if (had) return Promise.resolve(had);
    return new Promise((resolve, reject) => {
      this.listeners.push({ match: m, resolve });
      setTimeout(() => reject(new Error('no event ' + type + '; had ' + this.events.map(e => e.type).join(' '))), ms);
    });
  }
  async login (user, password) { const r = await this.ask('login', { user, password }); this.resumeSecret = r.resume; this.token = r.token; return r; }
  async loginToken (token) { const r = await this.ask('login', { token }); this.resumeSecret = r.resume; this.token = r.token; return r; }
  async resume () { const r = await this.ask('resume', { resume: this.resumeSecret, seq: this.seq }); this.resumeSecret = r.resume; return r; }
  async join (room, extra = {}) { const r = await this.ask('join', { room, ...extra }); this.participant = r.participant; return r; }
  async publish (constraints, { codec, audioFirst, simulcast, encodings } = {}) {
    const pc = this.pub = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    const stream = this.stream = await navigator.mediaDevices.getUserMedia(constraints);
    const tracks = [];
    for (const t of stream.getTracks()) {
      const init = { direction: 'sendonly', streams: [stream] };
      if (simulcast && t.kind === 'video') init.sendEncodings = [{ rid: 'q', scaleResolutionDownBy: 4 }, { rid: 'h', scaleResolutionDownBy: 2 }, { rid: 'f' }];
      if (encodings && t.kind === 'video') init.sendEncodings = encodings;
      const tr = pc.addTransceiver(t, init);
      // On a machine without time for all layers: fewer pictures, not smaller ones.
      if (init.sendEncodings) await tr.sender.setParameters({ ...tr.sender.getParameters(), degradationPreference: 'maintain-resolution' });
      if (codec && t.kind === 'video') {
        const all = RTCRtpReceiver.getCapabilities('video').codecs;
        tr.setCodecPreferences(all.filter(c => c.mimeType.toLowerCase() === 'video/' + codec.toLowerCase()).concat(all.filter(c => c.mimeType === 'video/rtx')));
      }
      if (audioFirst && t.kind === 'audio') {
        const all = RTCRtpReceiver.getCapabilities('audio').codecs;
        const is = c => c.mimeType.toLowerCase() === 'audio/' + audioFirst;
        tr.setCodecPreferences([...all.filter(is), ...all.filter(c => !is(c))]);
      }
      tracks.push({ tr, source: t.kind === 'audio' ? 'microphone' : 'camera' });
    }
    this.pubTracks = tracks;
    return this.republish();
  }
  async republish () {
    await this.pub.setLocalDescription(await this.pub.createOffer());
    const r = await this.ask('publish', { sdp: this.pub.localDescription.sdp, tracks: this.pubTracks.filter(t => t.tr.mid !== null).map(t => ({ mid: t.tr.mid, source: t.source })) });
    await this.pub.setRemoteDescription({ type: 'answer', sdp: r.sdp });
    this.published = r.tracks;
    return r;
  }
  async offered (f) {
    if (!this.sub) {
      this.sub = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
      this.sub.ontrack = e => {
        const el = document.createElement(e.track.kind);
        el.autoplay = true; el.muted = e.track.kind === 'video'; el.playsInline = true;
        el.srcObject = new MediaStream([e.track]);
        document.body.append(el);
        const rec = { mid: e.transceiver.mid, kind: e.track.kind, track: e.track, el, at: performance.now() };
        if (e.track.kind === 'video') el.requestVideoFrameCallback(() => { rec.firstFrameAt = performance.now(); });
        this.tracks.set(e.transceiver.mid, rec);
      };
      this.sub.onconnectionstatechange = () => { if (this.sub.connectionState === 'connected' && !this.subConnectedAt) this.subConnectedAt = performance.now(); };
    }
    await this.sub.setRemoteDescription({ type: 'offer', sdp: f.sdp });
    await this.sub.setLocalDescription(await this.sub.createAnswer());
    this.mids = Object.fromEntries(f.tracks.map(t => [t.mid, t]));
    await this.ask('answer', { rev: f.rev, sdp: this.sub.localDescription.sdp });
  }
  static async read (pc) {
    if (!pc) return null;
    const out = { inbound: [], outbound: [], remote: [], state: pc.connectionState };
    const stats = await pc.getStats();
    stats.forEach(s => {
      if (s.type === 'inbound-rtp') out.inbound.push(s);
      if (s.type === 'outbound-rtp') out.outbound.push(s);
      if (s.type === 'remote-inbound-rtp') out.remote.push(s);
      if (s.type === 'transport') {
        out.transport = s;
        const pair = stats.get(s.selectedCandidatePairId);
        if (pair) { out.pair = pair; out.local = stats.get(pair.localCandidateId); out.remoteCandidate = stats.get(pair.remoteCandidateId); }
      }
    });
    return JSON.parse(JSON.stringify(out));
  }
  async stats () { return { pub: await CallStackClient.read(this.pub), sub: await CallStackClient.read(this.sub), mids: this.mids, error: this.error }; }
  close () { this.pub?.close(); this.sub?.close(); this.ws?.close(); }
}
window.CallStackClient = CallStackClient;
