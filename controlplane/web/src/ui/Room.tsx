import { useEffect, useRef } from 'react'
import type { Incoming } from '../lib/media'
import type { Participant } from '../lib/protocol'
import { set, useStore } from '../lib/store'
import { Chat } from './Chat'
import { Controls } from './Controls'
import { Stats } from './Stats'
import { Sound, Tile } from './Tile'

const STATE: Record<RTCPeerConnectionState, [string, string]> = {
  new: ['connecting…', 'text-amber-300'], connecting: ['connecting…', 'text-amber-300'], connected: ['connected', 'text-emerald-300'],
  disconnected: ['connection lost', 'text-red-300'], failed: ['connection lost', 'text-red-300'], closed: ['connecting…', 'text-amber-300'],
}

interface Seen { incoming: Incoming[]; slots: Record<string, string>; dominant?: string; pinned?: string; large?: string; pins: boolean }

function tilesOf(p: Participant, seen: Seen) {
  const track = (source: string) => {
    const told = p.tracks.find(o => o.source === source)
    // Its own track, or the slot that it is in.
    return { told, live: told && seen.incoming.find(i => i.id === told.track || seen.slots[i.id] === told.track) }
  }
  const [camera, screen, microphone] = [track('camera'), track('screen'), track('microphone')]
  const muted = !microphone.told || microphone.told.muted
  const tiles = [<Tile key={p.participant} name={p.display} video={camera.told?.muted ? undefined : camera.live?.track} track={camera.live?.id} muted={muted}
    participant={seen.pins ? p.participant : undefined} pinned={seen.pinned === p.participant} large={seen.large === p.participant}
    speaking={!muted && seen.dominant === p.participant} />]
  if (screen.told) tiles.unshift(<Tile key={p.participant + 'screen'} name={`${p.display}’s screen`} video={screen.live?.track} track={screen.live?.id} screen />)
  return tiles
}

/** One is large: the one that was pinned, or in a room of several, where nobody shares a screen, the one who has the floor. */
export function largeOf(participants: Participant[], pinned?: string, dominant?: string) {
  const here = (id?: string) => participants.find(p => p.participant === id)?.participant
  if (participants.length < 2) return undefined
  if (here(pinned)) return pinned
  return participants.length >= 3 && !participants.some(p => p.tracks.some(t => t.source === 'screen')) ? here(dominant) : undefined
}

/** As near to a square of 16:9 tiles as the count allows; narrow screens have one column for up to three. */
const columns = (n: number) => (n === 1 ? '' : n <= 3 ? 'sm:grid-cols-2' : n === 4 ? 'grid-cols-2' : n <= 9 ? 'grid-cols-2 md:grid-cols-3' : 'grid-cols-2 md:grid-cols-4')

export function Room() {
  const { room, call, participants, incoming, slots, dominant, pinned, own, me, self, muted, media, chatOpen, statsOpen, silent } = useStore()
  const heading = useRef<HTMLHeadingElement>(null)
  useEffect(() => { heading.current?.focus() }, [])
  const sends = !!(own.microphone || own.camera || own.screen)
  const receives = participants.some(p => p.tracks.length)
  const [word, colour] = STATE[sends && media.publish !== 'connected' ? media.publish : receives ? media.subscribe : 'connected']
  const large = largeOf(participants, pinned, dominant)
  const others = participants.flatMap(p => tilesOf(p, { incoming, slots, dominant, pinned, large, pins: participants.length > 1 }))
  if (own.screen) others.push(<Tile key="own-screen" name="Your screen" video={own.screen} screen />)
  const mine = <Tile key="own" name={`${me?.display} (you)`} video={own.camera} muted={muted || !own.microphone} mirror small={others.length === 1}
    speaking={!!self && !muted && !!own.microphone && dominant === self} />
  const tiles = others.length === 1 ? others : [...others, mine]
  return (
    <div className="flex h-dvh flex-col">
      <header className="flex items-center gap-3 px-4 py-2">
        <h1 ref={heading} tabIndex={-1} className="min-w-0 flex-1 truncate text-lg font-semibold outline-none">{call?.state === 'answered' ? `Call with ${call.with}` : room}</h1>
        {silent && <button type="button" className="button button-primary" onClick={() => set({ silent: false })}>Turn on sound</button>}
        <span role="status" className={`text-sm ${colour}`}>{word}</span>
        <span className="text-sm text-slate-300">{participants.length + 1} here</span>
      </header>
      <div className="flex min-h-0 flex-1 flex-col md:flex-row">
        <main aria-label="Participants" className="relative min-h-0 flex-1 p-2">
          <div className={`grid h-full auto-rows-fr gap-2 overflow-auto ${columns(tiles.length)}`}>{tiles}</div>
          {others.length === 1 && (
            <div className="absolute bottom-4 right-4 aspect-video w-32 rounded-xl shadow-xl shadow-black/60 ring-1 ring-slate-500 sm:w-56">{mine}</div>
          )}
        </main>
        {chatOpen && <Chat />}
        {statsOpen && <Stats />}
      </div>
      {incoming.filter(i => i.track.kind === 'audio').map(i => <Sound key={i.id} track={i.track} />)}
      <Controls />
    </div>
  )
}
