// Live statistics of both transports, boiled down to what a person can use.
export interface Line {
  key: string; direction: 'sent' | 'received'; kind: string; codec: string; kbps: number; lost: number; packets: number
  fps?: number; size?: string; jitterMs?: number; rttMs?: number
}
export interface Report { lines: Line[]; rttMs?: number; cipher?: string; local?: string; remote?: string }

// Statistics come as loose dictionaries; TypeScript's own types lack most of what browsers fill in.
type Any = Record<string, any>
const last = new Map<string, { bytes: number; at: number }>()

function kbps(id: string, bytes: number, at: number) {
  const was = last.get(id)
  last.set(id, { bytes, at })
  return was && at > was.at ? Math.max(0, ((bytes - was.bytes) * 8) / (at - was.at)) : 0
}

export async function report(connections: { publish?: RTCPeerConnection; subscribe?: RTCPeerConnection }): Promise<Report> {
  const out: Report = { lines: [] }
  for (const pc of [connections.publish, connections.subscribe]) {
    if (!pc) continue
    const stats = await pc.getStats()
    const get = (id?: string) => (id ? (stats.get(id) as Any | undefined) : undefined)
    stats.forEach((raw: unknown) => {
      const s = raw as Any
      if (s.type === 'inbound-rtp' || s.type === 'outbound-rtp') {
        const inbound = s.type === 'inbound-rtp'
        const remote = get(s.remoteId)
        out.lines.push({
          key: s.id, direction: inbound ? 'received' : 'sent', kind: s.kind,
          codec: get(s.codecId)?.mimeType?.split('/')[1] ?? '', kbps: kbps(s.id, inbound ? s.bytesReceived : s.bytesSent, s.timestamp),
          lost: (inbound ? s.packetsLost : remote?.packetsLost) ?? 0, packets: inbound ? s.packetsReceived : s.packetsSent,
          fps: s.framesPerSecond, size: s.frameWidth ? `${s.frameWidth}×${s.frameHeight}` : undefined,
          jitterMs: s.jitter === undefined ? undefined : s.jitter * 1000,
          rttMs: remote?.roundTripTime === undefined ? undefined : remote.roundTripTime * 1000,
        })
      } else if (s.type === 'transport') {
        const pair = get(s.selectedCandidatePairId)
        const [local, remote] = [get(pair?.localCandidateId), get(pair?.remoteCandidateId)]
        out.cipher = s.srtpCipher ?? out.cipher
        if (pair?.currentRoundTripTime !== undefined) out.rttMs = pair.currentRoundTripTime * 1000
        if (local) out.local = `${local.address ?? local.candidateType}:${local.port}`
        if (remote) out.remote = `${remote.address}:${remote.port}`
      }
    })
  }
  return out
}
