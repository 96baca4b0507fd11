import { useEffect, useRef } from 'react'
import { useStore } from '../lib/store'

function useTrack<T extends HTMLMediaElement>(track?: MediaStreamTrack) {
  const ref = useRef<T>(null)
  useEffect(() => {
    if (ref.current) ref.current.srcObject = track ? new MediaStream([track]) : null
  }, [track])
  return ref
}

interface Props { name: string; video?: MediaStreamTrack; muted?: boolean; mirror?: boolean; large?: boolean }

export function Tile({ name, video, muted, mirror, large }: Props) {
  const ref = useTrack<HTMLVideoElement>(video)
  return (
    <figure className={`relative m-0 min-h-32 overflow-hidden rounded-xl bg-slate-800 ${large ? 'sm:col-span-2 sm:row-span-2' : ''}`}>
      <video ref={ref} autoPlay playsInline muted aria-label={`Video of ${name}`}
        className={`h-full w-full ${large ? 'object-contain' : 'object-cover'} ${mirror ? '-scale-x-100' : ''} ${video ? '' : 'invisible'}`} />
      {!video && <span aria-hidden="true" className="absolute inset-0 grid place-items-center text-5xl text-slate-500">{name.slice(0, 1).toUpperCase()}</span>}
      <figcaption className="absolute bottom-2 left-2 max-w-[90%] truncate rounded bg-black/60 px-2 py-0.5 text-sm">
        {name}{muted && <span className="text-red-300"> · muted</span>}
      </figcaption>
    </figure>
  )
}

/** Somebody's audio; it plays on the chosen output. */
export function Sound({ track }: { track: MediaStreamTrack }) {
  const ref = useTrack<HTMLAudioElement>(track)
  const output = useStore(s => s.choice.output)
  useEffect(() => {
    const el = ref.current as (HTMLAudioElement & { setSinkId?: (id: string) => Promise<void> }) | null
    void el?.setSinkId?.(output ?? '').catch(() => undefined)
  }, [output, ref])
  return <audio ref={ref} autoPlay />
}
