// @vitest-environment node
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { Media, withDtx } from './media'

interface Encoding { rid?: string; active?: boolean }
const senders: { encodings: Encoding[]; set: Encoding[][] }[] = []
const offered: string[][] = []

class FakeConnection {
  transceivers: object[] = []
  signalingState = 'stable'
  connectionState = 'new'
  localDescription = { sdp: 'v=0' }
  addTransceiver(track: object, init: { sendEncodings?: Encoding[] }) {
    const s = { encodings: init.sendEncodings ?? [{}], set: [] as Encoding[][] }
    senders.push(s)
    const t = {
      mid: String(this.transceivers.length), preferred: [] as string[],
      sender: {
        track, getParameters: () => ({ encodings: s.encodings.map(e => ({ ...e })) }),
        setParameters: async (p: { encodings: Encoding[] }) => { s.encodings = p.encodings; s.set.push(p.encodings) },
      },
      setCodecPreferences: (list: { mimeType: string }[]) => offered.push(list.map(c => c.mimeType)),
    }
    this.transceivers.push(t)
    return t
  }
  getTransceivers() { return this.transceivers }
  async createOffer() { return {} }
  async setLocalDescription() {}
  async setRemoteDescription() {}
  close() {}
}
const camera = (width: number, height: number) =>
  ({ kind: 'video', enabled: true, getSettings: () => ({ width, height }), addEventListener() {}, stop() {} }) as unknown as MediaStreamTrack

const ask = vi.fn(async (type: string) => (type === 'publish' ? { sdp: 'o=- 1 1 IN IP4 0\r\n', tracks: [{ mid: '0', track: 't1' }] } : {}))
const media = (codec?: 'VP9') => new Media(ask as never, { incoming() {}, state() {}, ended() {} }, codec)
const on = () => senders.at(-1)!.encodings.map(e => e.active)

beforeEach(() => {
  senders.length = offered.length = 0
  vi.stubGlobal('RTCPeerConnection', FakeConnection)
  vi.stubGlobal('RTCRtpReceiver', { getCapabilities: () => ({ codecs: ['video/VP8', 'video/rtx', 'video/VP9'].map(mimeType => ({ mimeType })) }) })
})

describe('a room that is left', () => {
  it('keeps nobody waiting for what its connections were asked', async () => {
    let answered = false
    class Deaf extends FakeConnection { setLocalDescription() { return new Promise<void>(() => undefined) } }
    vi.stubGlobal('RTCPeerConnection', Deaf)
    const m = media()
    const publishing = m.publish([['camera', camera(1280, 720)]]).then(() => { answered = true })
    await Promise.resolve()
    expect(answered).toBe(false)
    m.close()
    await publishing
    await m.unpublish(['camera'])
  })
})

describe('published layers', () => {
  it('fall silent as the server says, all come back without it, and fall silent again when it is back', async () => {
    const m = media()
    await m.publish([['camera', camera(1280, 720)]])
    expect(on()).toEqual([true, true, true])
    await m.layers('t1', [{ rid: 'l', active: true }, { rid: 'm', active: false }, { rid: 'h', active: false }])
    expect(on()).toEqual([true, false, false])
    await m.layers('t2', [])
    await m.allLayers()
    expect(on()).toEqual([true, true, true])
    await m.resync(true)
    expect(on()).toEqual([true, false, false])
    await m.layers('t1', [{ rid: 'l', active: true }, { rid: 'm', active: true }, { rid: 'h', active: true }])
    expect(on()).toEqual([true, true, true])
    await m.allLayers()
    expect(senders[0].set).toHaveLength(4) // nothing was set that was so already
  })

  it('go by the size of the capture and the codec', async () => {
    await media().publish([['camera', camera(320, 240)]])
    expect(senders[0].encodings.map(e => e.rid)).toEqual(['l', 'h'])
    expect(offered).toEqual([])
    await media('VP9').publish([['camera', camera(1280, 720)]])
    expect(senders[1].encodings).toMatchObject([{ scalabilityMode: 'L1T3' }, { scalabilityMode: 'L1T3' }, { scalabilityMode: 'L1T3' }])
    expect(offered).toEqual([['video/VP9', 'video/VP8', 'video/rtx']])
  })
})

describe('silence', () => {
  it('is sent as such, if the answer has Opus and does not say so already', () => {
    const sdp = 'a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:96 VP8/90000\r\na=fmtp:96 x=1\r\n'
    expect(withDtx(sdp)).toBe(sdp.replace('inbandfec=1', 'inbandfec=1;usedtx=1'))
    expect(withDtx(withDtx(sdp))).toBe(withDtx(sdp))
    expect(withDtx('a=rtpmap:96 VP8/90000\r\na=fmtp:96 x=1\r\n')).not.toContain('usedtx')
  })
})
