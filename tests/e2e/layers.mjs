// A viewer is allowed less and more: each switch takes under 2 s, no freeze lasts over half a second, and nothing is lost on the way.
// VP8 and H264 simulcast (rids), VP9 and AV1 simulcast (each encoding with a scalabilityMode), VP9 and AV1 of spatial layers
// (L3T3_KEY), and temporal layers of each. LAYERS_ONLY="vp8 av1_svc …" runs only those.
import { browser, open, stats, check, until, finish, sleep } from './lib.mjs'

const size = { width: 960, height: 540, frameRate: 15 } // of less Chromium makes two layers, whatever is asked for
const rids = mode => [['q', 4, 80_000], ['h', 2, 200_000], ['f', 1, 500_000]].map(([rid, scaleResolutionDownBy, maxBitrate]) =>
  ({ rid, scaleResolutionDownBy, maxBitrate, ...(mode && { scalabilityMode: mode }) }))
const svc = maxBitrate => [{ scalabilityMode: 'L3T3_KEY', maxBitrate }]
const cases = {
  vp8: { codec: 'VP8', encodings: rids(), temporal: true },
  h264: { codec: 'H264', encodings: rids() },
  vp9: { codec: 'VP9', encodings: rids('L1T3'), temporal: true },
  av1: { codec: 'AV1', encodings: rids('L1T3'), temporal: true },
  vp9_svc: { codec: 'VP9', encodings: svc(1_500_000), temporal: true },
  av1_svc: { codec: 'AV1', encodings: svc(500_000), temporal: true }
}
const only = (process.env.LAYERS_ONLY ?? '').split(' ').filter(Boolean)

const b = await browser()
const viewer = await open(b)
await viewer.evaluate(async () => { await window.c.login('u2', 'p-u2'); await window.c.join('layers') })
const picture = async () => (await stats(viewer)).sub?.inbound.filter(r => r.kind === 'video').at(-1)
const limit = (track, what) => viewer.evaluate(([track, what]) => window.c.ask('quality', { track, ...what }), [track, what])

// The longest pause between two pictures, in ms, since it was last asked: by the frames themselves, not by a statistic.
const watch = () => viewer.evaluate(() => {
  const el = [...window.c.tracks.values()].filter(t => t.kind === 'video').at(-1).el
  const w = window.watch = { last: performance.now(), longest: 0, frames: 0 }
  const next = () => {
    if (w !== window.watch) return
    const now = performance.now()
    w.longest = Math.max(w.longest, now - w.last)
    w.last = now
    w.frames++
    el.requestVideoFrameCallback(next)
  }
  el.requestVideoFrameCallback(next)
})
const longest = () => viewer.evaluate(() => { const w = window.watch; const l = Math.max(w.longest, performance.now() - w.last); w.longest = 0; return Math.round(l) })

const near = (lines, height) => Math.abs(lines - height) <= 2 // sizes are even

async function change (name, track, layer, height, keys) {
  const before = await picture()
  await longest()
  await limit(track, { max_layer: layer })
  const at = Date.now()
  const r = await until(`${name}: layer ${layer}: ${height} lines`, 10000, async () => { const r = await picture(); return near(r?.frameHeight, height) && r })
  if (!r) { console.log(`       it has ${(await picture())?.frameHeight}`); return }
  const took = Date.now() - at
  await sleep(1500)
  const after = await picture()
  const pause = await longest()
  check(took < 2000, `${name}: ${height} lines after ${took} ms`)
  check(pause < 500, `${name}: longest pause between pictures ${pause} ms`)
  check(after.totalFreezesDuration - before.totalFreezesDuration < 0.5,
    `${name}: freezes ${after.freezeCount - before.freezeCount}, ${Math.round((after.totalFreezesDuration - before.totalFreezesDuration) * 1000)} ms`)
  check(after.framesDecoded - r.framesDecoded >= 8 && near(after.frameHeight, height), `${name}: it stays so, ${after.framesDecoded - r.framesDecoded} frames in 1.5 s`)
  check(after.packetsLost === before.packetsLost && after.nackCount - before.nackCount < 20,
    `${name}: lost ${after.packetsLost - before.packetsLost}, asked for again ${after.nackCount - before.nackCount}, key frames asked for ${after.pliCount - before.pliCount}`)
}

// Of one stream the lowest layer alone is a stream that a decoder can live on.
async function stays (name, track, layers, top) {
  await change(name, track, 0, top / 2 ** (layers - 1))
  const a = await picture()
  await longest()
  await sleep(10000)
  const z = await picture()
  const pause = await longest()
  check(z.framesDecoded - a.framesDecoded >= 10 * size.frameRate * 0.7 && pause < 500,
    `${name}: the lowest layer alone: ${z.framesDecoded - a.framesDecoded} pictures in 10 s, longest pause ${pause} ms`)
  check(z.pliCount === a.pliCount && z.packetsLost === a.packetsLost,
    `${name}: key frames asked for ${z.pliCount - a.pliCount}, lost ${z.packetsLost - a.packetsLost}`)
  await change(name, track, layers - 1, top)
}

async function rate (page, name, track, temporal, least, most) {
  await limit(track, { max_temporal: temporal })
  await sleep(1000)
  const a = await picture()
  await longest()
  await sleep(3000)
  const z = await picture()
  const fps = (z.framesDecoded - a.framesDecoded) / 3
  console.log(`       ${name}: the publisher encodes ${(await stats(page)).pub.outbound.map(o => o.framesPerSecond).join(' ')} a second`)
  check(fps >= least && fps <= most, `${name}: temporal layers up to ${temporal}: ${fps.toFixed(1)} pictures a second, longest pause ${await longest()} ms`)
  check(z.packetsLost === a.packetsLost && z.pliCount === a.pliCount, `${name}: lost ${z.packetsLost - a.packetsLost}, key frames asked for ${z.pliCount - a.pliCount}`)
}

for (const [name, { codec, encodings, temporal }] of Object.entries(cases)) {
  if (only.length && !only.includes(name)) continue
  const page = await open(b)
  if (!await page.evaluate(codec => RTCRtpSender.getCapabilities('video').codecs.some(c => c.mimeType === 'video/' + codec), codec)) {
    console.log(`skip: this Chromium has no ${codec}`)
    continue
  }
  await page.evaluate(async ([video, codec, encodings]) => {
    const c = window.c
    await c.login('u1', 'p-u1')
    await c.join('layers')
    await c.publish({ video }, { codec, encodings })
    const sender = c.pub.getSenders()[0] // a machine that is busy sends fewer pictures, of the same size
    await sender.setParameters({ ...sender.getParameters(), degradationPreference: 'maintain-resolution' })
  }, [size, codec, encodings])
  const track = await page.evaluate(() => window.c.published[0].track)
  const sent = await until(`${name}: all layers are sent`, 40000, async () => {
    const out = (await stats(page)).pub.outbound
    return out.length === encodings.length && out.every(o => o.framesSent > 10 && o.frameHeight) &&
      (out.length > 1 || out[0].frameHeight === size.height) && out
  })
  if (!sent) console.log(`       ${name}: ${(await stats(page)).pub.pair?.availableOutgoingBitrate} b/s to send`)
  console.log(`       ${name}: ${(sent || (await stats(page)).pub.outbound).map(o => `${o.rid ?? 'one'} ${o.frameHeight} ${o.framesPerSecond}/s ${o.scalabilityMode ?? ''} ${o.qualityLimitationReason}`).join(', ')}`)
  const top = sent && Math.max(...sent.map(o => o.frameHeight))
  if (sent && await until(`${name}: ${top} lines at first`, 20000, async () => (await picture())?.frameHeight === top)) {
    await watch()
    await sleep(500)
    const layers = encodings.length > 1 ? encodings.length : Number(sent[0].scalabilityMode[1])
    for (const layer of [0, layers - 1, layers - 2, layers - 1]) await change(name, track, layer, top / 2 ** (layers - 1 - layer))
    if (layers !== encodings.length) await stays(name, track, layers, top)
    if (temporal) {
      const full = size.frameRate
      await rate(page, name, track, 0, full / 4 - 2, full / 2 + 2)
      await rate(page, name, track, 3, full * 0.7, full + 2)
    }
  }
  const out = (await stats(page)).pub.outbound
  console.log(`       ${name}: key frames and those asked for: ${out.map(o => `${o.rid ?? 'one'} ${o.keyFramesEncoded} ${o.pliCount}`).join(', ')}`)
  await page.evaluate(() => window.c.ask('leave'))
  await page.close()
}
await b.close()
finish()
