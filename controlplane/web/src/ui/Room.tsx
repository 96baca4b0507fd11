import type { Incoming } from '../lib/media'
import type { Participant } from '../lib/protocol'
import { useStore } from '../lib/store'
import { Chat } from './Chat'
import { Controls } from './Controls'
import { Stats } from './Stats'
import { Sound, Tile } from './Tile'

const STATE = { new: 'connecting…', connected: 'connected', disconnected: 'connection lost' } as const

function tilesOf(p: Participant, incoming: Incoming[]) {
  const track = (source: string) => {
    const t = p.tracks.find(o => o.source === source)
    return { told: t, live: t && incoming.find(i => i.id === t.track)?.track }
  }
  const [camera, screen, microphone] = [track('camera'), track('screen'), track('microphone')]
  const muted = !microphone.told || microphone.told.muted
  const tiles = [<Tile key={p.participant} name={p.display} video={camera.told?.muted ? undefined : camera.live} muted={muted} />]
  if (screen.told) tiles.unshift(<Tile key={p.participant + 'screen'} name={`${p.display}’s screen`} video={screen.live} large />)
  return tiles
}

export function Room() {
  const { room, call, participants, incoming, own, me, muted, media, chatOpen, statsOpen } = useStore()
  const state = own.microphone || own.camera ? media.publish : participants.length ? media.subscribe : 'connected'
  const others = participants.flatMap(p => tilesOf(p, incoming))
  return (
    <div className="flex h-dvh flex-col">
      <header className="flex items-center gap-3 px-4 py-2">
        <h1 className="min-w-0 flex-1 truncate text-lg font-semibold">{call?.state === 'answered' ? `Call with ${call.with}` : room}</h1>
        <span role="status" className={`text-sm ${state === 'connected' ? 'text-emerald-400' : 'text-amber-400'}`}>{STATE[state]}</span>
        <span className="text-sm text-slate-400">{participants.length + 1} here</span>
      </header>
      <div className="flex min-h-0 flex-1 flex-col md:flex-row">
        <main aria-label="Participants"
          className="grid min-h-0 flex-1 auto-rows-fr grid-cols-1 gap-2 overflow-auto p-2 sm:grid-cols-[repeat(auto-fit,minmax(min(22rem,100%),1fr))]">
          {others}
          {own.screen && <Tile name="Your screen" video={own.screen} />}
          <Tile name={`${me?.display} (you)`} video={own.camera} muted={muted || !own.microphone} mirror />
        </main>
        {chatOpen && <Chat />}
        {statsOpen && <Stats />}
      </div>
      {incoming.filter(i => i.track.kind === 'audio').map(i => <Sound key={i.id} track={i.track} />)}
      <Controls />
    </div>
  )
}
