// A subscriber behind a narrow link: within 10 s it is sent what fits, has no freezes afterwards and no standing queue, keeps to what it
// has, and is back at the top within 20 s after the limit is lifted. The publisher's own link is wide.
//   CHROMIUM_PUB, CHROMIUM_SUB: browsers in their namespaces. LIMIT: a command that takes a rate in kbit/s, or 0.
import { execFileSync } from 'node:child_process'
import { browser, open, stats, check, until, finish, sleep } from './lib.mjs'

const codec = process.env.LIMITED_CODEC ?? 'VP8'
const size = { width: 1280, height: 720, frameRate: 15 }
const encodings = [['q', 4, 130_000], ['h', 2, 380_000], ['f', 1, 1_000_000]].map(([rid, scaleResolutionDownBy, maxBitrate]) =>
  ({ rid, scaleResolutionDownBy, maxBitrate, ...(/VP9|AV1/.test(codec) && { scalabilityMode: 'L1T3' }) }))
const limit = kbit => execFileSync(process.env.LIMIT, [String(kbit)], { stdio: 'inherit' })

const [pb, sb] = await Promise.all([browser([], process.env.CHROMIUM_PUB), browser([], process.env.CHROMIUM_SUB)])
const pub = await open(pb)
await pub.evaluate(async ([video, codec, encodings]) => {
  const c = window.c
  await c.login('u1', 'p-u1')
  await c.join('narrow')
  await c.publish({ audio: true, video }, { codec, encodings })
}, [size, codec, encodings])
await until('the publisher sends all layers', 40000, async () => {
  const out = (await stats(pub)).pub.outbound.filter(o => o.kind === 'video')
  return out.length === 3 && out.every(o => o.framesSent > 15)
})

const sub = await open(sb)
await sub.evaluate(async () => { await window.c.login('u2', 'p-u2'); await window.c.join('narrow') })
const picture = async () => (await stats(sub)).sub?.inbound.find(r => r.kind === 'video')
const reaches = async (name, ms, lines) => {
  const at = Date.now()
  const ok = await until(name, ms, async () => { const h = (await picture())?.frameHeight; return h >= lines })
  if (ok) console.log(`  ok   ${name}: after ${Date.now() - at} ms`)
  else console.log(`       it has ${(await picture())?.frameHeight} lines`)
  return ok
}

// Looks for `seconds` and tells what a viewer would notice: the longest time without a new picture, freezes, the round trip with the queue in it.
async function watch (name, seconds, kbit, lines) { // lines: without a limit
  await sub.evaluate(() => {
    const el = [...window.c.tracks.values()].find(t => t.kind === 'video').el
    const w = window.gaps = { last: performance.now(), longest: 0, frames: 0, on: true }
    const frame = () => {
      if (!w.on) return
      const now = performance.now()
      w.longest = Math.max(w.longest, now - w.last)
      w.last = now
      w.frames++
      el.requestVideoFrameCallback(frame)
    }
    el.requestVideoFrameCallback(frame)
  })
  const before = await stats(sub), rtts = [], heights = []
  for (let i = 0; i < seconds * 2; i++) {
    await sleep(500)
    const s = await stats(sub)
    rtts.push(s.sub.pair.currentRoundTripTime * 1000)
    heights.push(s.sub.inbound.find(r => r.kind === 'video').frameHeight)
  }
  const after = await stats(sub)
  const gaps = await sub.evaluate(() => {
    const w = window.gaps
    w.on = false
    return { longest: Math.max(w.longest, performance.now() - w.last), frames: w.frames }
  })
  const of = (s, kind) => s.sub.inbound.find(r => r.kind === kind)
  const bytes = s => s.sub.inbound.reduce((n, r) => n + r.bytesReceived + r.headerBytesReceived, 0)
  const rate = (bytes(after) - bytes(before)) * 8 / 1000 / seconds
  rtts.sort((a, b) => a - b)
  const median = rtts[rtts.length >> 1]
  const changes = heights.filter((h, i) => i && h !== heights[i - 1]).length
  console.log(`       ${name}: ${[...new Set(heights)].join(' ')} lines, ${rate.toFixed(0)} kb/s, longest gap ${gaps.longest.toFixed(0)} ms, round trip median ${median.toFixed(0)} ms, most ${rtts.at(-1).toFixed(0)} ms`)
  check(gaps.longest < 500, `${name}: no gap over 500 ms (${gaps.longest.toFixed(0)})`)
  check(of(after, 'video').freezeCount === of(before, 'video').freezeCount, `${name}: no freeze`)
  check(of(after, 'audio').concealedSamples - of(before, 'audio').concealedSamples < 0.03 * 48000 * seconds,
    `${name}: audio is whole, ${((of(after, 'audio').concealedSamples - of(before, 'audio').concealedSamples) / 480 / seconds).toFixed(2)} % concealed`)
  if (kbit) check(median < 100, `${name}: no standing queue, round trip ${median.toFixed(0)} ms`)
  if (!kbit) { check(heights.every(h => h === lines), `${name}: it stays at ${lines} lines`); return }
  // Which layer that is depends on its pictures a second too: 720 lines at half of them may cost what 360 do at all.
  check(changes <= 2, `${name}: ${changes} changes of size in ${seconds} s`)
  check(rate <= kbit && rate >= kbit / 2, `${name}: ${Math.round(100 * rate / kbit)} % of the link is used`)
}

// What the encoder makes of each layer and of the sound, without padding and repeats: kbit/s on the wire (Ethernet to SRTP tag,
// about 90 bytes a packet), by lines.
async function rates (seconds) {
  const bytes = async () => new Map((await stats(pub)).pub.outbound.map(o =>
    [o.kind === 'audio' ? 0 : o.frameHeight, o.bytesSent - o.retransmittedBytesSent + 90 * (o.packetsSent - o.retransmittedPacketsSent)]))
  const before = await bytes()
  await sleep(seconds * 1000)
  const after = await bytes()
  return new Map([...after].map(([lines, n]) => [lines, (n - before.get(lines)) * 8 / 1000 / seconds]))
}

await reaches('wide: the top layer', 20000, 720)
await watch('wide', 5, 0, 720)
const rate = await rates(5)
console.log(`       layers: ${[...rate].map(([lines, kbit]) => `${lines || 'sound'} ${kbit.toFixed(0)} kb/s`).join(', ')}`)
// Less than the top layer takes, then less than the middle one.
for (const lines of [720, 360]) {
  const kbit = Math.round(0.8 * rate.get(lines) + rate.get(0))

  limit(kbit)
  await sleep(10000) // that it may take
  await watch(`${kbit} kb/s`, 15, kbit)
}
limit(0)
await reaches('wide again: the top layer', 20000, 720)
await pb.close()
await sb.close()
finish()
