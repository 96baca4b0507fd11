import { FormEvent, useEffect, useRef, useState } from 'react'
import { attempt, say } from '../lib/session'
import { useStore } from '../lib/store'

export function Chat() {
  const chat = useStore(s => s.chat)
  const [text, setText] = useState('')
  const end = useRef<HTMLLIElement>(null)
  // Not as the effect's result: current browsers answer with a promise, which React would call.
  useEffect(() => { end.current?.scrollIntoView({ block: 'nearest' }) }, [chat])
  const send = (e: FormEvent) => {
    e.preventDefault()
    const line = text.trim()
    if (!line) return
    void attempt(async () => { await say(line); setText('') })
  }
  return (
    <aside aria-label="Chat" className="flex h-[40dvh] min-h-0 shrink-0 flex-col border-slate-700 p-2 md:h-auto md:w-80 md:border-l">
      <ol className="flex-1 overflow-auto" role="log" aria-label="Messages" tabIndex={0}>
        {chat.length === 0 && <li className="p-2 text-sm text-slate-300">Nothing was said yet.</li>}
        {chat.map(m => (
          <li key={m.key} className={`my-1 rounded-lg px-3 py-1 ${m.own ? 'ml-8 bg-teal-900' : 'mr-8 bg-slate-800'}`}>
            <span className="text-xs text-slate-300">{m.display} <time>{new Date(m.time).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })}</time></span>
            <p className="whitespace-pre-wrap break-words">{m.text}</p>
          </li>
        ))}
        <li ref={end} aria-hidden="true" />
      </ol>
      <form onSubmit={send} className="flex gap-2 pt-2">
        <label className="sr-only" htmlFor="chat">Message</label>
        <input id="chat" className="field" autoComplete="off" autoFocus maxLength={1000} placeholder="Message" value={text} onChange={e => setText(e.target.value)} />
        <button className="button button-primary shrink-0">Send</button>
      </form>
    </aside>
  )
}
