// What the page shows. Written by session.ts only.
import { create } from 'zustand'
import type { Choice } from './devices'
import type { Incoming } from './media'
import type { Participant, Source, Target, User } from './protocol'
import type { Link } from './signaling'

export type Call =
  | { state: 'incoming'; call: string; from: string; display: string; video: boolean }
  | { state: 'outgoing'; call: string; to: string; video: boolean; ringing: boolean }
  | { state: 'answered'; call: string; with: string; video: boolean }
export interface Message { key: number; own: boolean; display: string; text: string; time: number }
export interface Notice { key: number; kind: 'error' | 'info'; text: string }

export interface State {
  me?: { user: string; display: string }
  link: Link
  busy: boolean
  /** The session of an earlier page is being taken up. */
  taking: boolean
  users: User[]
  call?: Call
  room?: string
  self?: string
  participants: Participant[]
  incoming: Incoming[]
  /** The participant who has the floor. */
  dominant?: string
  /** Tracks that stand for whoever spoke last, and the track that each shows now. */
  slots: Record<string, string>
  /** The participant whose picture is kept large. */
  pinned?: string
  own: Partial<Record<Source, MediaStreamTrack>>
  muted: boolean
  media: Record<Target, RTCPeerConnectionState>
  /** The browser waits for a click before it plays sound. */
  silent: boolean
  chat: Message[]
  unread: number
  chatOpen: boolean
  statsOpen: boolean
  settingsOpen: boolean
  choice: Choice
  notices: Notice[]
}

const outside = {
  room: undefined, self: undefined, participants: [], incoming: [], dominant: undefined,
  slots: {} as Record<string, string>, pinned: undefined, own: {}, muted: false,
  media: { publish: 'new', subscribe: 'new' } as Record<Target, RTCPeerConnectionState>, chat: [], unread: 0, chatOpen: false, statsOpen: false, silent: false,
}

export const useStore = create<State>(() => ({
  link: 'closed', busy: false, taking: false, users: [], choice: {}, settingsOpen: false, notices: [], ...outside,
}))
export const set = useStore.setState
export const get = useStore.getState

export const leaveRoom = () => set(outside)

let noticeKey = 0
export function notice(kind: Notice['kind'], text: string) {
  const key = ++noticeKey
  set(s => ({ notices: [...s.notices.slice(-3), { key, kind, text }] }))
  setTimeout(() => dismiss(key), kind === 'error' ? 9000 : 4000)
}
export const dismiss = (key: number) => set(s => ({ notices: s.notices.filter(n => n.key !== key) }))
