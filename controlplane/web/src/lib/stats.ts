// Live statistics of both transports, boiled down to what a person can use.
export interface Line {
  key: string; direction: 'sent' | 'received'; kind: string; codec: string; kbps: number; lost: number; packets: number
  /** Of a simulcast encoding: its name, and whether it is sent at all. */
  rid?: string; paused?: boolean
  /** Why the encoder does less than it was asked for. */
  limited?: string
  fps?: number; size?: string; jitterMs?: number; rttMs?: number; lossPercent?: number; freezes?: number; concealedPercent?: number
}
export interface Report { lines: Line[]; rttMs?: number; availableKbps?: number; cipher?: string; local?: string; remote?: string }

// Statistics come as loose dictionaries; TypeScript's own types lack most of what browsers fill in.
type Any = Record<string, any>
const last = new Map<string, { value: number; of: number }>()

/** How much `value` grew a unit of `of` since it was last asked for by that name. */
function growth(name: string, value: number, of: number) {
  const was = last.get(name)
  last.set(name, { value, of })
  return was && of > was.of ? Math.max(0, (value - was.value) / (of - was.of)) : 0
}

const present = (v: number | undefined, f: (v: number) => number) => (v === undefined ? undefined : f(v))

function line(s: Any, get: (id?: string) => Any | undefined): Line {
  const inbound = s.type === 'inbound-rtp'
  const remote = get(s.remoteId)
  const lost = (inbound ? s.packetsLost : remote?.packetsLost) ?? 0, packets = inbound ? s.packetsReceived : s.packetsSent
  return {
    key: s.id, direction: inbound ? 'received' : 'sent', kind: s.kind, codec: get(s.codecId)?.mimeType?.split('/')[1] ?? '',
    kbps: 8 * growth(s.id, inbound ? s.bytesReceived : s.bytesSent, s.timestamp), lost, packets,
    rid: s.rid, paused: s.active === false,
    limited: s.qualityLimitationReason && s.qualityLimitationReason !== 'none' ? s.qualityLimitationReason : undefined,
    fps: s.framesPerSecond, size: s.frameWidth ? `${s.frameWidth}×${s.frameHeight}` : undefined,
    jitterMs: present(s.jitter, v => v * 1000), rttMs: present(remote?.roundTripTime, v => v * 1000),
    lossPercent: 100 * Math.min(1, growth(s.id + ' lost', lost, lost + packets)), freezes: s.freezeCount,
    concealedPercent: present(s.concealedSamples, v => 100 * growth(s.id + ' concealed', v, s.totalSamplesReceived)),
  }
}

export async function report(connections: { publish?: RTCPeerConnection; subscribe?: RTCPeerConnection }): Promise<Report> {
  const out: Report = { lines: [] }
  for (const pc of [connections.publish, connections.subscribe]) {
    if (!pc) continue
    const stats = await pc.getStats()
    const get = (id?: string) => (id ? (stats.get(id) as Any | undefined) : undefined)
    stats.forEach((raw: unknown) => {
      const s = raw as Any
      if (s.type === 'inbound-rtp' || s.type === 'outbound-rtp') out.lines.push(line(s, get))
      else if (s.type === 'transport') {
        const pair = get(s.selectedCandidatePairId)
        const [local, remote] = [get(pair?.localCandidateId), get(pair?.remoteCandidateId)]
        out.cipher = s.srtpCipher ?? out.cipher
        if (pair?.currentRoundTripTime !== undefined) out.rttMs = pair.currentRoundTripTime * 1000
        if (pc === connections.publish && pair?.availableOutgoingBitrate) out.availableKbps = pair.availableOutgoingBitrate / 1000
        if (local) out.local = `${local.address ?? local.candidateType}:${local.port}`
        if (remote) out.remote = `${remote.address}:${remote.port}`
      }
    })
  }
  return out
}
