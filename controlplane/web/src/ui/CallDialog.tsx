import { useEffect, useRef } from 'react'
import { accept, attempt, refuse } from '../lib/session'
import { useStore } from '../lib/store'

export function CallDialog() {
  const call = useStore(s => s.call)
  const dialog = useRef<HTMLDialogElement>(null)
  const shown = call && call.state !== 'answered'
  useEffect(() => {
    if (shown) dialog.current?.showModal()
  }, [shown])
  if (!call || call.state === 'answered') return null
  const kind = call.video ? 'video' : 'audio'
  return (
    <dialog ref={dialog} aria-labelledby="call-title" onCancel={e => { e.preventDefault(); void attempt(refuse) }}
      className="w-full max-w-sm rounded-2xl bg-slate-800 p-6 text-slate-100 backdrop:bg-black/60">
      {call.state === 'incoming' ? (
        <>
          <h2 id="call-title" className="mb-6 text-xl font-semibold">{call.display} calls you ({kind})</h2>
          <div className="flex flex-wrap gap-3">
            {call.video && <button type="button" autoFocus className="button button-primary" onClick={() => void attempt(() => accept(true))}>Accept with video</button>}
            <button type="button" className="button button-primary" onClick={() => void attempt(() => accept(false))}>Accept with audio</button>
            <button type="button" className="button button-danger" onClick={() => void attempt(refuse)}>Decline</button>
          </div>
        </>
      ) : (
        <>
          <h2 id="call-title" className="mb-6 text-xl font-semibold" aria-live="polite">
            {call.ringing ? `Ringing ${call.to}…` : `Calling ${call.to}…`}
          </h2>
          <button type="button" autoFocus className="button button-danger" onClick={() => void attempt(refuse)}>Cancel</button>
        </>
      )}
    </dialog>
  )
}
