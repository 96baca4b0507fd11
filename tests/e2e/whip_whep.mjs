// Chromium beside aiortc: sees what aiortc publishes by WHIP, and plays the room by WHEP itself.
import { browser, open, stats, check, until, finish, base, video } from './lib.mjs'

const role = process.argv[2]
const b = await browser()
const page = await open(b)
await page.evaluate(async () => { await window.c.login('u1', 'p-u1') })

if (role === 'viewer') { // a participant that publishes, and must see aiortc
  await page.evaluate(async video => { await window.c.join('studio'); await window.c.publish({ audio: true, video }) }, video)
  console.log('ready')
  await until('Chromium decodes the WHIP publisher', 20000, async () => {
    const s = (await stats(page)).sub
    return s && s.inbound.some(r => r.kind === 'video' && r.framesDecoded > 30) && s.inbound.some(r => r.kind === 'audio' && r.totalAudioEnergy > 0.001)
  })
  const s = (await stats(page)).sub
  for (const r of s.inbound) check(r.packetsLost === 0, `from aiortc: ${r.kind} ${r.packetsReceived} packets, lost ${r.packetsLost}, decoded ${r.framesDecoded ?? '-'}`)
  await new Promise(resolve => process.stdin.once('data', resolve))
} else { // a WHEP player
  const seen = await page.evaluate(async ([base, room]) => {
    const pc = new RTCPeerConnection()
    pc.ontrack = e => { const el = document.createElement(e.track.kind); el.autoplay = true; el.muted = true; el.srcObject = new MediaStream([e.track]); document.body.append(el) }
    pc.addTransceiver('audio', { direction: 'recvonly' })
    pc.addTransceiver('video', { direction: 'recvonly' })
    await pc.setLocalDescription(await pc.createOffer())
    const head = { Authorization: 'Bearer ' + window.c.token }
    const r = await fetch(`${base}/whep/${room}`, { method: 'POST', body: pc.localDescription.sdp, headers: { ...head, 'Content-Type': 'application/sdp' } })
    const answer = await r.text()
    if (r.status !== 201) return { status: r.status, answer }
    await pc.setRemoteDescription({ type: 'answer', sdp: answer })
    const location = new URL(r.headers.get('Location'), base).href
    let frag = `a=ice-ufrag:${/a=ice-ufrag:(\S+)/.exec(pc.localDescription.sdp)[1]}\r\na=ice-pwd:${/a=ice-pwd:(\S+)/.exec(pc.localDescription.sdp)[1]}\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=end-of-candidates\r\n`
    const patch = await fetch(location, { method: 'PATCH', body: frag, headers: { ...head, 'Content-Type': 'application/trickle-ice-sdpfrag', 'If-Match': r.headers.get('ETag') } })
    const out = { patch: patch.status, etag: r.headers.get('ETag') }
    for (let i = 0; i < 100; i++) {
      await new Promise(resolve => setTimeout(resolve, 100))
      out.inbound = []
      ;(await pc.getStats()).forEach(s => { if (s.type === 'inbound-rtp') out.inbound.push({ kind: s.kind, frames: s.framesDecoded, packets: s.packetsReceived, lost: s.packetsLost }) })
      if (out.inbound.some(s => s.kind === 'video' && s.frames > 20) && out.inbound.some(s => s.kind === 'audio' && s.packets > 50)) break
    }
    out.deleted = (await fetch(location, { method: 'DELETE', headers: head })).status
    out.again = (await fetch(location, { method: 'DELETE', headers: head })).status
    out.noToken = (await fetch(`${base}/whep/${room}`, { method: 'POST', body: 'v=0', headers: { 'Content-Type': 'application/sdp' } })).status
    out.bad = (await fetch(`${base}/whep/${room}`, { method: 'POST', body: 'nonsense', headers: { ...head, 'Content-Type': 'application/sdp' } })).status
    out.nobody = (await fetch(`${base}/whep/${room}/nobody`, { method: 'POST', body: pc.localDescription.sdp, headers: { ...head, 'Content-Type': 'application/sdp' } })).status
    return out
  }, [base, 'studio'])
  console.log(JSON.stringify(seen))
  check(seen.inbound?.some(s => s.kind === 'video' && s.frames > 20), 'a WHEP player in Chromium decodes video')
  check(seen.inbound?.some(s => s.kind === 'audio' && s.packets > 50), 'and gets audio')
  check(seen.inbound?.every(s => s.lost === 0), 'and loses nothing')
  check(seen.patch === 204, `trickle PATCH: ${seen.patch}`)
  check(seen.deleted === 200 && seen.again === 404, `DELETE: ${seen.deleted}, again: ${seen.again}`)
  check(seen.noToken === 401 && seen.bad === 400 && seen.nobody === 404, `no token ${seen.noToken}, nonsense ${seen.bad}, unknown name ${seen.nobody}`)
}
await b.close()
finish()
