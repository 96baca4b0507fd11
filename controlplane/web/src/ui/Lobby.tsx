import { FormEvent, useState } from 'react'
import type { User } from '../lib/protocol'
import { attempt, call, join, logout } from '../lib/session'
import { set, useStore } from '../lib/store'

const STATE = { online: ['bg-emerald-500', 'online'], busy: ['bg-amber-500', 'in a call'], offline: ['bg-slate-500', 'offline'] } as const

function Person({ user, busy }: { user: User; busy: boolean }) {
  const [colour, word] = STATE[user.state]
  const free = user.state === 'online' && !busy
  return (
    <li className="flex items-center gap-3 rounded-lg bg-slate-800 px-3 py-2">
      <span className={`h-3 w-3 shrink-0 rounded-full ${colour}`} aria-hidden="true" />
      <span className="min-w-0 flex-1 truncate">{user.display} <span className="text-sm text-slate-400">{word}</span></span>
      <button type="button" className="button" disabled={!free} aria-label={`Call ${user.display} with audio only`}
        onClick={() => void attempt(() => call(user.user, false))}>Audio</button>
      <button type="button" className="button button-primary" disabled={!free} aria-label={`Call ${user.display} with video`}
        onClick={() => void attempt(() => call(user.user, true))}>Video</button>
    </li>
  )
}

export function Lobby() {
  const { me, users, busy, call: current } = useStore()
  const [room, setRoom] = useState('')
  const others = users.filter(u => u.user !== me?.user && u.state !== 'offline').sort((a, b) => a.display.localeCompare(b.display))
  const enter = (e: FormEvent) => {
    e.preventDefault()
    void attempt(() => join(room.trim()))
  }
  return (
    <div className="mx-auto flex min-h-dvh max-w-2xl flex-col gap-8 p-4">
      <header className="flex items-center gap-3">
        <h1 className="flex-1 text-2xl font-semibold">CallStack</h1>
        <span className="truncate text-slate-300">{me?.display}</span>
        <button type="button" className="button" onClick={() => set({ settingsOpen: true })}>Devices</button>
        <button type="button" className="button" onClick={() => void logout()}>Log out</button>
      </header>
      <main className="flex flex-col gap-8">
        <section aria-labelledby="room-title">
          <h2 id="room-title" className="mb-2 text-lg font-medium">Join a room</h2>
          <form onSubmit={enter} className="flex gap-2">
            <label className="sr-only" htmlFor="room">Room name</label>
            <input id="room" className="field" placeholder="Room name, for example: standup" required maxLength={64}
              pattern="[A-Za-z0-9._@+\-]+" title="Letters, digits and . _ - @ +" autoCapitalize="none"
              value={room} onChange={e => setRoom(e.target.value)} />
            <button className="button button-primary shrink-0" disabled={busy}>Join</button>
          </form>
        </section>
        <section aria-labelledby="people-title">
          <h2 id="people-title" className="mb-2 text-lg font-medium">Who is online</h2>
          {others.length === 0 && <p className="text-slate-400">Nobody else yet. Log in as another user in a second tab.</p>}
          <ul className="flex flex-col gap-2">
            {others.map(u => <Person key={u.user} user={u} busy={busy || !!current} />)}
          </ul>
        </section>
      </main>
    </div>
  )
}
