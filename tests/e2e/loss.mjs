// 5 % of all packets lost, both ways, between the server and each client: video keeps its frame rate by retransmission, audio
// conceals what is missing.
//   CHROMIUM_PUB, CHROMIUM_SUB: browsers in their namespaces. LOSE: a command that takes a percentage.
import { execFileSync } from 'node:child_process'
import { browser, open, stats, check, until, finish, sleep, video } from './lib.mjs'

const seconds = Number(process.env.LOSS_SECONDS ?? 30)
const [pb, sb] = await Promise.all([browser([], process.env.CHROMIUM_PUB), browser([], process.env.CHROMIUM_SUB)])
const pub = await open(pb)
await pub.evaluate(async ([video]) => {
  const c = window.c
  await c.login('u1', 'p-u1')
  await c.join('leaky')
  await c.publish({ audio: true, video }, { codec: 'VP8' })
}, [video])
const sub = await open(sb)
await sub.evaluate(async () => { await window.c.login('u2', 'p-u2'); await window.c.join('leaky') })
const of = (list, kind) => list.find(r => r.kind === kind)
await until('picture and sound', 15000, async () => {
  const s = (await stats(sub)).sub
  return s && of(s.inbound, 'video')?.framesDecoded > 30 && of(s.inbound, 'audio')?.totalAudioEnergy > 0
})
await sleep(3000)
const look = async () => {
  const [p, s] = await Promise.all([stats(pub), stats(sub)])
  return { sent: of(p.pub.outbound, 'video'), video: of(s.sub.inbound, 'video'), audio: of(s.sub.inbound, 'audio') }
}
execFileSync(process.env.LOSE, ['5'], { stdio: 'inherit' })
await sleep(3000)
const a = await look()
await sleep(seconds * 1000)
const b = await look()
execFileSync(process.env.LOSE, ['0'], { stdio: 'inherit' })

const grew = (what, key) => b[what][key] - a[what][key]
const frames = grew('video', 'framesDecoded') / grew('sent', 'framesSent')
check(frames > 0.97, `video: ${grew('video', 'framesDecoded')} frames decoded of ${grew('sent', 'framesSent')} sent, ${(100 * frames).toFixed(1)} %`)
check(grew('video', 'retransmittedPacketsReceived') > 0 && grew('sent', 'retransmittedPacketsSent') > 0,
  `repaired: ${grew('sent', 'retransmittedPacketsSent')} packets from the publisher, ${grew('video', 'retransmittedPacketsReceived')} to the subscriber`)
console.log(`       freezes ${grew('video', 'freezeCount')}, key frames ${grew('video', 'keyFramesDecoded')}, NACKs ${grew('video', 'nackCount')}, PLIs ${grew('video', 'pliCount')}`)
check(grew('video', 'keyFramesDecoded') <= 3, `it is not key frames that keep it going: ${grew('video', 'keyFramesDecoded')}`)
const concealed = grew('audio', 'concealedSamples') / grew('audio', 'totalSamplesReceived')
// Two hops lose 10 % between them; what Opus' own redundancy brings back is not concealed.
check(concealed < 0.13, `audio: ${(100 * concealed).toFixed(1)} % concealed`)
check(grew('audio', 'silentConcealedSamples') < 0.02 * grew('audio', 'totalSamplesReceived') && grew('audio', 'totalAudioEnergy') > 0,
  `audio: not silent, energy ${grew('audio', 'totalAudioEnergy').toFixed(4)}`)
const lost = grew('audio', 'packetsLost') / (grew('audio', 'packetsLost') + grew('audio', 'packetsReceived'))
check(lost > 0.02, `the link did lose: ${(100 * lost).toFixed(1)} % of the audio packets`)
await pb.close()
await sb.close()
finish()
