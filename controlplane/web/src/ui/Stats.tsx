import { useQuery } from '@tanstack/react-query'
import { connections } from '../lib/session'
import { Line, report } from '../lib/stats'

const RIDS: Record<string, string> = { l: 'low', m: 'middle', h: 'high' }

const text = (l: Line) => (l.paused ? [l.codec, 'paused, as nobody watches it'] : [
  l.codec, l.size, l.fps !== undefined && `${Math.round(l.fps)} fps`, `${Math.round(l.kbps)} kb/s`, `lost ${l.lost} of ${l.packets}`,
  !!l.lossPercent && `${l.lossPercent.toFixed(1)} % now`,
  l.jitterMs !== undefined && `jitter ${l.jitterMs.toFixed(1)} ms`, l.rttMs !== undefined && `rtt ${l.rttMs.toFixed(0)} ms`,
  !!l.freezes && `${l.freezes} freezes`, !!l.concealedPercent && l.concealedPercent >= 0.1 && `${l.concealedPercent.toFixed(1)} % concealed`,
  l.limited && `limited by ${l.limited}`,
]).filter(Boolean).join(' · ')

export function Stats() {
  const { data } = useQuery({ queryKey: ['stats'], queryFn: () => report(connections()), refetchInterval: 1000 })
  return (
    <aside aria-label="Statistics" tabIndex={0} className="max-h-[50dvh] overflow-auto border-slate-700 p-3 text-sm md:max-h-none md:w-80 md:border-l">
      <h2 className="mb-2 font-medium">Live statistics</h2>
      <p className="mb-2 text-slate-300">
        {data?.rttMs !== undefined && `Round trip ${data.rttMs.toFixed(1)} ms`} {data?.cipher && `· ${data.cipher}`}<br />
        {data?.availableKbps !== undefined && <>{`Upstream has room for ${Math.round(data.availableKbps)} kb/s`}<br /></>}
        {data?.local && `${data.local} ↔ ${data.remote}`}
      </p>
      {(['sent', 'received'] as const).map(direction => (
        <section key={direction}>
          <h3 className="mt-2 font-medium capitalize">{direction}</h3>
          <ul>
            {data?.lines.filter(l => l.direction === direction).map(l => (
              <li key={l.key} className="border-b border-slate-800 py-1">
                <span className="text-slate-300">{l.kind}{l.rid && ` (${RIDS[l.rid] ?? l.rid})`}</span> {text(l)}
              </li>
            ))}
          </ul>
        </section>
      ))}
    </aside>
  )
}
