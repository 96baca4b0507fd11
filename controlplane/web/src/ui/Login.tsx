import { FormEvent, useState } from 'react'
import { act, login } from '../lib/session'
import { useStore } from '../lib/store'

export function Login() {
  const busy = useStore(s => s.busy)
  const [user, setUser] = useState('')
  const [password, setPassword] = useState('')
  const submit = (e: FormEvent) => {
    e.preventDefault()
    void act(() => login(user.trim(), password))
  }
  return (
    <main className="grid min-h-dvh place-items-center p-4">
      <form onSubmit={submit} className="flex w-full max-w-sm flex-col gap-4 rounded-2xl bg-slate-800/60 p-6">
        <h1 className="text-2xl font-semibold">CallStack</h1>
        <label className="flex flex-col gap-1">
          User name
          <input className="field" name="user" autoComplete="username" autoCapitalize="none" autoFocus required maxLength={64}
            value={user} onChange={e => setUser(e.target.value)} />
        </label>
        <label className="flex flex-col gap-1">
          Password
          <input className="field" name="password" type="password" autoComplete="current-password" required maxLength={512}
            value={password} onChange={e => setPassword(e.target.value)} />
        </label>
        <button className="button button-primary" disabled={busy}>{busy ? 'Logging in…' : 'Log in'}</button>
      </form>
    </main>
  )
}
