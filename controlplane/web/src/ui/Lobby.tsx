import { FormEvent, useEffect, useRef, useState } from 'react'
import type { User } from '../lib/protocol'
import { act, call, join, logout } from '../lib/session'
import { set, useStore } from '../lib/store'
import { Icon } from './Icon'

const STATE = { online: ['bg-emerald-500', 'online'], busy: ['bg-amber-500', 'in a call'], offline: ['bg-slate-500', 'offline'] } as const

function Person({ user, busy }: { user: User; busy: boolean }) {
  const [colour, word] = STATE[user.state]
  const free = user.state === 'online' && !busy
  return (
    <li className="flex items-center gap-3 rounded-lg bg-slate-800 px-3 py-2">
      <span className={`h-3 w-3 shrink-0 rounded-full ${colour}`} aria-hidden="true" />
      <span className="min-w-0 flex-1">
        <span className="block truncate">{user.display}</span>
        <span className="block text-sm text-slate-300">{word}</span>
      </span>
      <button type="button" className="button flex items-center gap-2" disabled={!free} aria-label={`Call ${user.display} with audio only`}
        onClick={() => void act(() => call(user.user, false))}><Icon name="phone" /><span className="hidden sm:inline">Audio</span></button>
      <button type="button" className="button button-primary flex items-center gap-2" disabled={!free} aria-label={`Call ${user.display} with video`}
        onClick={() => void act(() => call(user.user, true))}><Icon name="camera" /><span className="hidden sm:inline">Video</span></button>
    </li>
  )
}

export function Lobby() {
  const { me, users, busy, call: current } = useStore()
  const [room, setRoom] = useState('')
  const heading = useRef<HTMLHeadingElement>(null)
  useEffect(() => { heading.current?.focus() }, [])
  const others = users.filter(u => u.user !== me?.user && u.state !== 'offline').sort((a, b) => a.display.localeCompare(b.display))
  const enter = (e: FormEvent) => {
    e.preventDefault()
    void act(() => join(room.trim()))
  }
  return (
    <div className="mx-auto flex min-h-dvh max-w-2xl flex-col gap-8 p-4">
      <header className="flex items-center gap-3">
        <h1 ref={heading} tabIndex={-1} className="flex-1 text-2xl font-semibold outline-none">CallStack</h1>
        <span className="min-w-0 truncate text-slate-300">{me?.display}</span>
        <button type="button" className="button flex shrink-0 items-center gap-2" aria-label="Devices" aria-haspopup="dialog" onClick={() => set({ settingsOpen: true })}>
          <Icon name="devices" /><span className="hidden sm:inline">Devices</span>
        </button>
        <button type="button" className="button shrink-0" onClick={() => void logout()}>Log out</button>
      </header>
      <main className="flex flex-col gap-8">
        <section aria-labelledby="room-title">
          <h2 id="room-title" className="mb-2 text-lg font-medium">Join a room</h2>
          <form onSubmit={enter} className="flex gap-2">
            <label className="sr-only" htmlFor="room">Room name</label>
            <input id="room" className="field" placeholder="For example: standup" required maxLength={64}
              pattern="[A-Za-z0-9._@+\-]+" title="Letters, digits and . _ - @ +" autoCapitalize="none"
              value={room} onChange={e => setRoom(e.target.value)} />
            <button className="button button-primary shrink-0" disabled={busy}>Join</button>
          </form>
        </section>
        <section aria-labelledby="people-title">
          <h2 id="people-title" className="mb-2 text-lg font-medium">Who is online</h2>
          {others.length === 0 && <p className="text-slate-300">Nobody else yet. Log in as another user in a second tab.</p>}
          <ul className="flex flex-col gap-2">
            {others.map(u => <Person key={u.user} user={u} busy={busy || !!current} />)}
          </ul>
        </section>
      </main>
    </div>
  )
}
