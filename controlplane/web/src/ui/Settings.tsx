import { useQuery } from '@tanstack/react-query'
import { useEffect, useRef, useState } from 'react'
import { meter, microphone } from '../lib/devices'
import { Codec, CODECS } from '../lib/encodings'
import { attempt, choose, chooseCodec } from '../lib/session'
import { set, useStore } from '../lib/store'

const KINDS = [
  ['audio', 'audioinput', 'Microphone'], ['video', 'videoinput', 'Camera'], ['output', 'audiooutput', 'Speaker'],
] as const

/** What the chosen microphone hears: the one in use, or one opened for this. */
function Level() {
  const live = useStore(s => s.own.microphone)
  const chosen = useStore(s => s.choice.audio)
  const [level, setLevel] = useState(0)
  const [problem, setProblem] = useState('')
  useEffect(() => {
    let stop = () => {}, over = false
    const listen = async () => {
      const track = live ?? await microphone(chosen)
      if (over) { if (!live) track.stop(); return }
      const off = meter(track, setLevel)
      stop = () => { off(); if (!live) track.stop() }
    }
    setProblem('')
    listen().catch((e: Error) => setProblem(e.message))
    return () => { over = true; stop() }
  }, [live, chosen])
  if (problem) return <p role="alert" className="text-red-300">{problem}</p>
  return (
    <div className="flex items-center gap-3">
      <span id="level">Level</span>
      <div role="meter" aria-labelledby="level" aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(level * 100)}
        className="h-3 flex-1 overflow-hidden rounded bg-slate-700">
        <div className="h-full bg-emerald-500" style={{ width: `${level * 100}%` }} />
      </div>
    </div>
  )
}

export function Settings() {
  const choice = useStore(s => s.choice)
  const dialog = useRef<HTMLDialogElement>(null)
  const { data: devices = [], refetch } = useQuery({ queryKey: ['devices'], queryFn: async () => (await navigator.mediaDevices?.enumerateDevices()) ?? [] })
  const close = () => set({ settingsOpen: false })
  useEffect(() => {
    dialog.current?.showModal()
    const changed = () => void refetch()
    navigator.mediaDevices?.addEventListener('devicechange', changed)
    const soon = setTimeout(changed, 1000) // names are there once the microphone was allowed
    return () => { navigator.mediaDevices?.removeEventListener('devicechange', changed); clearTimeout(soon) }
  }, [refetch])
  return (
    <dialog ref={dialog} aria-labelledby="settings-title" onClose={close}
      className="w-full max-w-md rounded-2xl bg-slate-800 p-6 text-slate-100 backdrop:bg-black/60">
      <h2 id="settings-title" className="mb-4 text-xl font-semibold">Devices</h2>
      <div className="flex flex-col gap-4">
        {KINDS.map(([key, kind, label]) => (
          <div key={key} className="flex flex-col gap-1">
            <label htmlFor={key}>{label}</label>
            <select id={key} className="field" value={choice[key] ?? ''} onChange={e => void attempt(() => choose(key, e.target.value))}>
              <option value="">Default</option>
              {devices.filter(d => d.kind === kind && d.deviceId && d.deviceId !== 'default').map((d, i) => (
                <option key={d.deviceId} value={d.deviceId}>{d.label || `${label} ${i + 1}`}</option>
              ))}
            </select>
          </div>
        ))}
        <div className="flex flex-col gap-1">
          <label htmlFor="codec">Video codec</label>
          <select id="codec" className="field" value={choice.codec ?? ''}
            onChange={e => void attempt(() => chooseCodec((e.target.value || undefined) as Codec | undefined))}>
            <option value="">Automatic</option>
            {CODECS.map(c => <option key={c}>{c}</option>)}
          </select>
        </div>
        <Level />
        <button type="button" className="button button-primary" onClick={() => dialog.current?.close()}>Done</button>
      </div>
    </dialog>
  )
}
