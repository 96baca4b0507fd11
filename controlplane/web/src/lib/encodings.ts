// What we encode of a captured picture: simulcast layers, low to high, and the codec.
import type { Layer } from './protocol'

export type Codec = 'VP8' | 'VP9' | 'H264' | 'AV1'
export const CODECS: Codec[] = ['VP8', 'H264', 'VP9', 'AV1']

/** Enough for a picture that moves a little: 1280×720 gets 1.6 Mb/s, and what is smaller more a pixel. */
const bitrate = (width: number, height: number) => Math.round(1_600_000 * ((width * height) / (1280 * 720)) ** 0.75)

const layer = (rid: string, scaleResolutionDownBy: number, maxBitrate: number, more: Partial<RTCRtpEncodingParameters> = {}) =>
  ({ rid, scaleResolutionDownBy, maxBitrate, active: true, ...more }) as RTCRtpEncodingParameters

// VP9 and AV1 would otherwise be one stream of several spatial layers, whatever the rids say.
const temporal = (codec?: Codec) => (codec === 'VP9' || codec === 'AV1' ? { scalabilityMode: 'L1T3' } : {}) as Partial<RTCRtpEncodingParameters>

/** A layer below about 160 pixels' width is not worth its encoder. */
export function camera(width = 1280, height = 720, codec?: Codec): RTCRtpEncodingParameters[] {
  const scales = width >= 640 ? [4, 2, 1] : width >= 320 ? [2, 1] : [1]
  const rids = scales.length === 2 ? ['l', 'h'] : ['l', 'm', 'h']
  if (scales.length === 1) return [{ maxBitrate: bitrate(width, height) }]
  return scales.map((s, i) => layer(rids[i], s, bitrate(width / s, height / s), temporal(codec)))
}

/** Text stays sharp in the higher one; the lower is for those with little bandwidth, and for small pictures of it. */
export function screen(codec?: Codec): RTCRtpEncodingParameters[] {
  return [layer('l', 2, 400_000, { maxFramerate: 5, ...temporal(codec) }), layer('h', 1, 2_500_000, temporal(codec))]
}

/** The chosen codec first; the others stay, for those who cannot have it. */
export function preferred<T extends { mimeType: string }>(all: T[], codec?: Codec): T[] | undefined {
  if (!codec) return undefined
  const is = (c: T) => c.mimeType.toLowerCase() === `video/${codec.toLowerCase()}`
  return all.some(is) ? [...all.filter(is), ...all.filter(c => !is(c))] : undefined
}

/** Encodings that nobody watches fall silent. Of several the lowest goes on, so that somebody who comes has a picture at once; one alone
 *  rests, and begins again with a key frame. undefined: no change. */
export function activate<E extends { active?: boolean; rid?: string }>(encodings: E[], layers: Layer[]): E[] | undefined {
  let on = encodings.map(e => layers.find(l => l.rid === (e.rid ?? ''))?.active ?? true)
  if (on.length > 1 && !on.includes(true)) on = on.map((_, i) => i === 0)
  if (encodings.every((e, i) => (e.active ?? true) === on[i])) return undefined
  return encodings.map((e, i) => ({ ...e, active: on[i] }))
}
