import { dismiss, useStore } from '../lib/store'

export function Notices() {
  const notices = useStore(s => s.notices)
  return (
    <div className="pointer-events-none fixed inset-x-2 bottom-20 z-50 flex flex-col items-center gap-2" aria-live="polite">
      {notices.map(n => (
        <div key={n.key} role={n.kind === 'error' ? 'alert' : undefined}
          className={`pointer-events-auto flex max-w-lg items-center gap-3 rounded-lg px-4 py-2 shadow-lg ${n.kind === 'error' ? 'bg-red-800' : 'bg-slate-700'}`}>
          <span>{n.text}</span>
          <button type="button" aria-label="Dismiss" className="-mr-2 grid h-8 w-8 shrink-0 place-items-center rounded text-lg leading-none hover:bg-black/20" onClick={() => dismiss(n.key)}>×</button>
        </div>
      ))}
    </div>
  )
}
