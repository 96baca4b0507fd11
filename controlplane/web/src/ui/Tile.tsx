import { useEffect, useRef } from 'react'
import { pin, shows } from '../lib/session'
import { set, useStore } from '../lib/store'
import { shownHeight } from '../lib/wants'
import { Icon } from './Icon'

function useTrack<T extends HTMLMediaElement>(track?: MediaStreamTrack) {
  const ref = useRef<T>(null)
  useEffect(() => {
    if (ref.current) ref.current.srcObject = track ? new MediaStream([track]) : null
  }, [track])
  return ref
}

/** Tells the server how tall a received picture is shown, as the layout changes. */
function useShown(ref: React.RefObject<HTMLVideoElement>, track: string | undefined, cover: boolean, large: boolean) {
  useEffect(() => {
    const video = ref.current
    if (!video || !track) return
    const say = () => shows(track, shownHeight(video.getBoundingClientRect(), video.videoWidth / video.videoHeight, cover, devicePixelRatio), large)
    const observer = new ResizeObserver(say)
    observer.observe(video)
    video.addEventListener('resize', say) // the picture's own size: its aspect may have changed
    say()
    return () => { observer.disconnect(); video.removeEventListener('resize', say); shows(track, undefined, large) }
  }, [ref, track, cover, large])
}

interface Props {
  name: string; video?: MediaStreamTrack; muted?: boolean; mirror?: boolean; screen?: boolean; small?: boolean
  /** Of a received picture: the track that brings it, and whose it is. */
  track?: string; participant?: string
  large?: boolean; speaking?: boolean; pinned?: boolean
}

export function Tile({ name, video, muted, mirror, screen, small, track, participant, large, speaking, pinned }: Props) {
  const ref = useTrack<HTMLVideoElement>(video)
  const big = screen || large
  useShown(ref, video && track, !screen, !!big)
  return (
    <figure aria-label={muted ? `${name}, muted` : name} data-speaking={speaking || undefined}
      className={`group relative m-0 h-full min-h-16 w-full overflow-hidden rounded-xl bg-slate-800 ${big ? 'sm:col-span-2 sm:row-span-2' : ''}`}>
      <video ref={ref} autoPlay playsInline muted aria-hidden={!video} aria-label={`Picture of ${name}`}
        className={`absolute inset-0 h-full w-full ${screen ? 'object-contain' : 'object-cover'} ${mirror ? '-scale-x-100' : ''} ${video ? '' : 'invisible'}`} />
      {!video && (
        <span aria-hidden="true" className="absolute inset-0 grid place-items-center">
          <span className={`grid place-items-center rounded-full bg-slate-600 font-medium text-slate-200 ${small ? 'h-10 w-10 text-lg' : 'h-20 w-20 text-4xl'}`}>
            {[...name][0]?.toUpperCase()}
          </span>
        </span>
      )}
      {speaking && <span aria-hidden="true" className="pointer-events-none absolute inset-0 rounded-xl ring-4 ring-inset ring-emerald-400" />}
      {participant && (
        <button type="button" aria-pressed={!!pinned} aria-label={`Keep ${name} large`} title={`Keep ${name} large`} onClick={() => pin(participant)}
          className={`button absolute right-2 top-2 grid h-10 w-10 place-items-center bg-black/60 p-0 ${pinned ? 'text-teal-300' : 'opacity-0 focus-visible:opacity-100 group-hover:opacity-100 [@media(hover:none)]:opacity-100'}`}>
          <Icon name="pin" />
        </button>
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
