import { useStore } from '../lib/store'
import { CallDialog } from './CallDialog'
import { Lobby } from './Lobby'
import { Login } from './Login'
import { Notices } from './Notices'
import { Room } from './Room'
import { Settings } from './Settings'

function Screen() {
  const { me, room, taking } = useStore()
  if (me) return room ? <Room /> : <Lobby />
  if (taking) return <main className="grid min-h-dvh place-items-center"><p role="status">Connecting…</p></main>
  return <Login />
}

export function App() {
  const settings = useStore(s => s.settingsOpen)
  const lost = useStore(s => s.link === 'lost' && (s.taking || !!s.me))
  return (
    <>
      <div role="status">
        {lost && (
          <p className="fixed inset-x-0 top-0 z-40 bg-amber-800 px-4 py-1 text-center text-sm">
            The connection to the server was lost. Trying again… Calls go on.
          </p>
        )}
      </div>
      <Screen />
      <CallDialog />
      {settings && <Settings />}
      <Notices />
    </>
  )
}
