import { useEffect, useRef } from 'react'
import { accept, attempt, refuse } from '../lib/session'
import { useStore } from '../lib/store'
import { Icon } from './Icon'

export function CallDialog() {
  const call = useStore(s => s.call)
  const dialog = useRef<HTMLDialogElement>(null)
  const shown = call && call.state !== 'answered' ? call.call : undefined
  const ringing = call?.state === 'incoming' ? call.display : undefined
  useEffect(() => {
    if (shown && !dialog.current?.open) dialog.current?.showModal()
  }, [shown])
  useEffect(() => {
    if (!ringing) return
    document.title = `${ringing} is calling · CallStack`
    return () => { document.title = 'CallStack' }
  }, [ringing])
  if (!call || call.state === 'answered') return null
  const no = () => void attempt(refuse)
  return (
    <dialog ref={dialog} aria-labelledby="call-title" onCancel={e => { e.preventDefault(); no() }} onClose={no}
      className="w-full max-w-sm rounded-2xl bg-slate-800 p-6 text-center text-slate-100 shadow-2xl backdrop:bg-black/70">
      <span aria-hidden="true" className="mx-auto mb-4 grid h-16 w-16 place-items-center rounded-full bg-teal-800 text-teal-100 motion-safe:animate-pulse">
        <Icon name={call.video ? 'camera' : 'phone'} className="h-8 w-8" />
      </span>
      {call.state === 'incoming' ? (
        <>
          <h2 id="call-title" className="text-xl font-semibold">{call.display} is calling</h2>
          <p className="mb-6 mt-1 text-slate-300">{call.video ? 'Video call' : 'Audio call'}</p>
          <div className="flex flex-col gap-3">
            {call.video && <button type="button" autoFocus className="button button-primary" onClick={() => void attempt(() => accept(true))}>Accept with video</button>}
            <button type="button" autoFocus={!call.video} className={`button ${call.video ? '' : 'button-primary'}`} onClick={() => void attempt(() => accept(false))}>Accept with audio</button>
            <button type="button" className="button button-danger" onClick={no}>Decline</button>
          </div>
        </>
      ) : (
        <>
          <h2 id="call-title" className="mb-6 text-xl font-semibold" aria-live="polite">
            {call.ringing ? `Ringing ${call.to}…` : `Calling ${call.to}…`}
          </h2>
          <button type="button" autoFocus className="button button-danger w-full" onClick={no}>Cancel</button>
        </>
      )}
    </dialog>
  )
}
