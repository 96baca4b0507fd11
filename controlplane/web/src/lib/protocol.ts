// callstack.v1 as docs/signaling.md says it: what the server sends, in types.

export type Presence = 'online' | 'busy' | 'offline'
export type Kind = 'audio' | 'video'
export type Source = 'microphone' | 'camera' | 'screen' | 'screen_audio'
export type Target = 'publish' | 'subscribe'
export type MediaState = 'new' | 'connected' | 'disconnected'

export interface Track { track: string; kind: Kind; source: Source; muted: boolean }
export interface Participant { participant: string; user: string; display: string; tracks: Track[] }
export interface User { user: string; display: string; state: Presence }
export type OfferedTrack = { mid: string; track: string } & ({ participant: string } | { participant?: undefined; slot: true; kind: Kind })
export interface Layer { rid: string; active: boolean }
export interface Seat { slot: string; participant: string | null; track: string | null }

export interface Session {
  user: string; display: string; session: string; resume: string; resume_ttl: number; token: string; server: string; seq: number
}
export interface Resumed extends Session { replayed: boolean; room?: string; participant?: string; participants?: Participant[] }
export interface Joined { room: string; participant: string; participants: Participant[] }
export interface Published { sdp: string; tracks: { mid: string; track: string }[] }

export type Event = { seq: number } & (
  | ({ type: 'presence' } & User)
  | { type: 'ring'; call: string; from: string; display: string; media: 'audio' | 'video'; room: string }
  | { type: 'ringing' | 'answered_elsewhere'; call: string }
  | { type: 'accepted'; call: string; room: string }
  | { type: 'declined' | 'busy' | 'no_answer' | 'cancelled' | 'failed' | 'ended'; call: string; reason?: string }
  | { type: 'joined'; participant: Participant }
  | { type: 'left'; participant: string; reason: string }
  | { type: 'track_added' | 'track_updated'; participant: string; track: Track }
  | { type: 'track_removed'; participant: string; track: string }
  | { type: 'offer'; rev: number; sdp: string; tracks: OfferedTrack[] }
  | { type: 'speakers'; dominant: string | null; audio: Seat[]; video: Seat[] }
  | { type: 'layers'; track: string; layers: Layer[] }
  | { type: 'media'; target: Target; state: MediaState }
  | { type: 'media_reset'; target: Target }
  | { type: 'chat'; participant: string; user: string; display: string; text: string; time: number }
  | { type: 'shutdown'; reason: string }
)

/** A request that the server refused; `code` is one of docs/signaling.md. */
export class Refused extends Error {
  constructor(readonly code: string, message: string) { super(message) }
}
