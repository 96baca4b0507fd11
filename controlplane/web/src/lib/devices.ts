// Cameras, microphones, screens; errors in words.
import type { Codec } from './encodings'

export interface Choice { audio?: string; video?: string; output?: string; codec?: Codec }

export function readable(e: unknown, what: string): string {
  const name = e instanceof DOMException ? e.name : ''
  switch (name) {
    case 'NotAllowedError': return `The browser was not allowed to use the ${what}. Allow it in the address bar and try again.`
    case 'NotFoundError': return `There is no ${what} on this device.`
    case 'NotReadableError': return `The ${what} is in use by another program.`
    case 'OverconstrainedError': return `The chosen ${what} is not there any more.`
    case 'AbortError': return `The ${what} could not be started.`
    default: return e instanceof Error ? e.message : String(e)
  }
}

const audio = (id?: string) => ({
  deviceId: id ? { exact: id } : undefined, echoCancellation: true, noiseSuppression: true, autoGainControl: true })
const video = (id?: string) => ({
  deviceId: id ? { exact: id } : undefined, width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } })

async function capture(constraints: MediaStreamConstraints): Promise<MediaStreamTrack[]> {
  if (!navigator.mediaDevices) throw new Error('This page is not secure, so the browser gives it no camera or microphone. Use https.')
  return (await navigator.mediaDevices.getUserMedia(constraints)).getTracks()
}

async function one(constraints: MediaStreamConstraints, what: string) {
  try {
    return (await capture(constraints))[0]
  } catch (e) {
    throw new Error(readable(e, what))
  }
}
export const microphone = (id?: string) => one({ audio: audio(id) }, 'microphone')
export const camera = (id?: string) => one({ video: video(id) }, 'camera')

/** Both with one question to the user; where that fails, what there is, and why the other is not. */
export async function both(choice: Choice): Promise<{ microphone?: MediaStreamTrack; camera?: MediaStreamTrack; problems: string[] }> {
  const problems: string[] = []
  try {
    const tracks = await capture({ audio: audio(choice.audio), video: video(choice.video) })
    return { microphone: tracks.find(t => t.kind === 'audio'), camera: tracks.find(t => t.kind === 'video'), problems }
  } catch {
    const note = (e: Error) => { problems.push(e.message); return undefined }
    return { microphone: await microphone(choice.audio).catch(note), camera: await camera(choice.video).catch(note), problems }
  }
}

export const canShare = () => !!navigator.mediaDevices && 'getDisplayMedia' in navigator.mediaDevices

/** The chosen screen or window and perhaps its sound; nothing when the picker was closed. */
export async function screen(): Promise<MediaStreamTrack[]> {
  if (!canShare()) throw new Error('This browser cannot share the screen.')
  try {
    const tracks = (await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { ideal: 15 } }, audio: true })).getTracks()
    for (const t of tracks) if (t.kind === 'video') t.contentHint = 'detail' // sharp text rather than smooth motion
    return tracks
  } catch (e) {
    if (e instanceof DOMException && e.name === 'NotAllowedError') return []
    throw new Error(readable(e, 'screen'))
  }
}

/** Calls `level` with 0 to 1 about 15 times a second; the result stops it. */
export function meter(track: MediaStreamTrack, level: (v: number) => void): () => void {
  const context = new AudioContext()
  const analyser = new AnalyserNode(context, { fftSize: 512 })
  const source = context.createMediaStreamSource(new MediaStream([track]))
  const samples = new Float32Array(analyser.fftSize)
  source.connect(analyser)
  void context.resume().catch(() => undefined)
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples)
    const rms = Math.sqrt(samples.reduce((sum, v) => sum + v * v, 0) / samples.length)
    level(Math.max(0, Math.min(1, 1 + Math.log10(rms + 1e-6) / 2.5)))
  }, 66)
  return () => { clearInterval(timer); void context.close() }
}
