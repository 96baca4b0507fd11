// u1 publishes a tone with RED (RFC 2198) before Opus; u2 hears it as RED, u3, whose answers say nothing of RED, as Opus. They
// publish as browsers do, Opus first, and u1, who could hear RED, hears that. All stay while others play, too.
import { browser, open, stats, check, until, follow, finish, sleep } from './lib.mjs'

const b = await browser()
const pages = []
for (const n of [1, 2, 3]) {
  const page = await open(b)
  pages.push(page)
  await page.evaluate(async n => {
    const ac = new AudioContext()
    const tone = ac.createMediaStreamDestination()
    const osc = new OscillatorNode(ac, { frequency: 440 })
    osc.connect(new GainNode(ac, { gain: 0.4 })).connect(tone)
    osc.start()
    navigator.mediaDevices.getUserMedia = async () => tone.stream
    if (n === 3) {
      const answer = RTCPeerConnection.prototype.createAnswer
      RTCPeerConnection.prototype.createAnswer = async function () {
        const { type, sdp } = await answer.call(this)
        return { type, sdp: sdp.replace(/^(m=audio.*) 63\b/gm, '$1').replace(/^a=(rtpmap|fmtp|rtcp-fb):63 .*\r\n/gm, '') }
      }
    }
    await window.c.login('u' + n, 'p-u' + n)
    await window.c.join('den')
    await window.c.publish({ audio: true }, n === 1 ? { audioFirst: 'red' } : {})
  }, n)
}
const heard = async page => ((await stats(page)).sub?.inbound ?? []).filter(r => r.kind === 'audio')
const from = async (page, who) => {
  const mid = await page.evaluate(who => Object.values(window.c.mids).find(m => m.participant === who && window.c.tracks.get(m.mid)?.kind === 'audio')?.mid, who)
  return (await heard(page)).find(r => r.mid === mid) ?? {}
}
const ids = await Promise.all(pages.map(p => p.evaluate(() => window.c.participant)))
for (const page of pages) await until('all hear one another', 30000, async () => (await heard(page)).filter(r => r.totalAudioEnergy > 0.01).length === 2)
const steps = {
  // By the bytes of a packet on the average: the codec of the statistics is Opus either way.
  async heard () {
    await sleep(3000)
    const sent = (await stats(pages[0])).pub.outbound.find(r => r.kind === 'audio')
    const twice = sent.bytesSent / sent.packetsSent
    console.log(`  u1 sends ${twice.toFixed(0)} bytes a packet`)
    for (const [to, red] of [[1, true], [2, false]]) {
      const r = await from(pages[to], ids[0])
      const bytes = r.bytesReceived / r.packetsReceived
      const loud = r.totalAudioEnergy / r.totalSamplesDuration
      check(red ? bytes > 0.9 * twice : bytes < 0.6 * twice, `u${to + 1} hears u1 in ${bytes.toFixed(0)} bytes a packet`)
      check(r.packetsLost === 0, `u${to + 1}: ${r.packetsReceived} packets, lost ${r.packetsLost}`)
      check(loud > 0.02, `u${to + 1}: as loud as it was sent (${loud.toFixed(3)})`)
      const back = await from(pages[0], ids[to])
      const each = back.bytesReceived / back.packetsReceived
      check(each < 0.6 * twice && back.packetsLost === 0, `u1 hears u${to + 1} in ${each.toFixed(0)} bytes a packet, lost ${back.packetsLost}`)
    }
  }
}
await follow(steps)
await b.close()
finish()
