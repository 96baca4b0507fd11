import { useStore } from '../lib/store'
import { CallDialog } from './CallDialog'
import { Lobby } from './Lobby'
import { Login } from './Login'
import { Notices } from './Notices'
import { Room } from './Room'
import { Settings } from './Settings'

export function App() {
  const me = useStore(s => s.me)
  const room = useStore(s => s.room)
  const settings = useStore(s => s.settingsOpen)
  const link = useStore(s => s.link)
  return (
    <>
      {me && link === 'lost' && (
        <p role="status" className="fixed inset-x-0 top-0 z-40 bg-amber-700 px-4 py-1 text-center text-sm">
          The connection to the server was lost. Trying again… Calls go on.
        </p>
      )}
      {!me ? <Login /> : room ? <Room /> : <Lobby />}
      <CallDialog />
      {settings && <Settings />}
      <Notices />
    </>
  )
}
