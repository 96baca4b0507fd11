import { useEffect, useRef } from 'react'
import { set, useStore } from '../lib/store'
import { Icon } from './Icon'

function useTrack<T extends HTMLMediaElement>(track?: MediaStreamTrack) {
  const ref = useRef<T>(null)
  useEffect(() => {
    if (ref.current) ref.current.srcObject = track ? new MediaStream([track]) : null
  }, [track])
  return ref
}

interface Props { name: string; video?: MediaStreamTrack; muted?: boolean; mirror?: boolean; screen?: boolean; small?: boolean }

export function Tile({ name, video, muted, mirror, screen, small }: Props) {
  const ref = useTrack<HTMLVideoElement>(video)
  return (
    <figure aria-label={muted ? `${name}, muted` : name}
      className={`relative m-0 h-full min-h-16 w-full overflow-hidden rounded-xl bg-slate-800 ${screen ? 'sm:col-span-2 sm:row-span-2' : ''}`}>
      <video ref={ref} autoPlay playsInline muted aria-hidden={!video} aria-label={`Picture of ${name}`}
        className={`absolute inset-0 h-full w-full ${screen ? 'object-contain' : 'object-cover'} ${mirror ? '-scale-x-100' : ''} ${video ? '' : 'invisible'}`} />
      {!video && (
        <span aria-hidden="true" className="absolute inset-0 grid place-items-center">
          <span className={`grid place-items-center rounded-full bg-slate-600 font-medium text-slate-200 ${small ? 'h-10 w-10 text-lg' : 'h-20 w-20 text-4xl'}`}>
            {[...name][0]?.toUpperCase()}
          </span>
        </span>
      )}
      <figcaption className={`absolute flex max-w-[90%] items-center gap-1 rounded-md bg-black/60 ${small ? 'bottom-1 left-1 px-1 text-xs' : 'bottom-2 left-2 px-2 py-0.5 text-sm'}`}>
        <span className="truncate">{name}</span>
        {muted && <Icon name="micOff" className="h-4 w-4 text-red-300" />}
      </figcaption>
    </figure>
  )
}

/** Somebody's audio; it plays on the chosen output. */
export function Sound({ track }: { track: MediaStreamTrack }) {
  const ref = useTrack<HTMLAudioElement>(track)
  const output = useStore(s => s.choice.output)
  const silent = useStore(s => s.silent)
  useEffect(() => {
    const el = ref.current as (HTMLAudioElement & { setSinkId?: (id: string) => Promise<void> }) | null
    void el?.setSinkId?.(output ?? '').catch(() => undefined)
  }, [output, ref])
  useEffect(() => {
    if (silent) return
    // Browsers play sound on their own only where the user has clicked; the answer to a refusal is a button that asks for a click.
    ref.current?.play().catch(e => { if (e instanceof DOMException && e.name === 'NotAllowedError') set({ silent: true }) })
  }, [track, silent, ref])
  return <audio ref={ref} autoPlay />
}
