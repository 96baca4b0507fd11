// Chromium publishes layers in each way that it knows: rids of VP8 and H264, of VP9 and AV1 (each encoding with a scalabilityMode),
// and one stream of spatial layers (VP9 and AV1, L3T3_KEY). The answer takes them all, every layer arrives, the subscriber sees a
// picture, and the size that it asks for is the size that it gets.
// SIMULCAST_ONLY="vp8 av1_svc …" runs only those.
import { browser, open, stats, check, until, finish, sleep } from './lib.mjs'

const size = { width: 1280, height: 720, frameRate: 15 }
const DD = '#dependency-descriptor-rtp-header-extension'
const rids = mode => [['q', 4, 100_000], ['h', 2, 250_000], ['f', 1, 600_000]].map(([rid, scaleResolutionDownBy, maxBitrate]) =>
  ({ rid, scaleResolutionDownBy, maxBitrate, ...(mode && { scalabilityMode: mode }) }))
const svc = [{ scalabilityMode: 'L3T3_KEY', maxBitrate: 900_000 }]
const cases = {
  vp8: { codec: 'VP8', encodings: rids() },
  h264: { codec: 'H264', encodings: rids() },
  vp9: { codec: 'VP9', encodings: rids('L1T3') },
  av1: { codec: 'AV1', encodings: rids('L1T3') },
  vp9_svc: { codec: 'VP9', encodings: svc },
  av1_svc: { codec: 'AV1', encodings: svc },
}
const only = process.env.SIMULCAST_ONLY?.split(' ')

const b = await browser()
const viewer = await open(b)
await viewer.evaluate(async () => { await window.c.login('u2', 'p-u2'); await window.c.join('layers') })

const picture = async () => (await stats(viewer)).sub?.inbound.filter(r => r.kind === 'video').at(-1)

// Frames that the publisher sent of the layer; of one stream that has three spatial layers each counts by itself.
const frames = async (page, want) => {
  const out = (await stats(page)).pub.outbound
  return out.length === 1 ? out[0].framesSent / 3 : (out.find(o => o.frameHeight === want)?.framesSent ?? 0)
}

async function sized (name, page, track, height, want) {
  await viewer.evaluate(([track, height]) => window.c.ask('quality', { track, height }), [track, height])
  const at = Date.now()
  const r = await until(`${name}: height ${height || 'any'}: ${want} lines`, 20000, async () => {
    const r = await picture()
    return r?.frameHeight === want && r
  })
  if (!r) { console.log(`       it has ${(await picture())?.frameHeight}`); return }
  console.log(`       ${name}: ${want} lines ${Date.now() - at} ms after it was asked for`)
  const [sent, before] = [await frames(page, want), await picture()]
  await sleep(1500)
  const later = await picture(), due = await frames(page, want) - sent, came = later.framesDecoded - before.framesDecoded
  check(later.frameHeight === want && came > 0 && came >= 0.6 * due, `${name}: it stays so, ${came} frames of ${Math.round(due)} in 1.5 s, ${later.frameHeight} lines`)
}

for (const [name, { codec, encodings }] of Object.entries(cases)) {
  if (only && !only.includes(name)) continue
  const page = await open(b)
  const supported = await page.evaluate(codec => RTCRtpSender.getCapabilities('video').codecs.some(c => c.mimeType === 'video/' + codec), codec)
  if (!supported) { console.log(`skip: this Chromium has no ${codec}`); continue }
  await page.evaluate(async ([video, codec, encodings]) => {
    const c = window.c
    await c.login('u1', 'p-u1')
    await c.join('layers')
    await c.publish({ video }, { codec, encodings })
  }, [size, codec, encodings])
  const said = await page.evaluate(() => ({ track: window.c.published[0].track, answer: window.c.pub.remoteDescription.sdp,
    ext: window.c.pub.getSenders()[0].getParameters().headerExtensions.map(e => e.uri) }))
  check(said.ext.some(uri => uri.endsWith(DD)), `${name}: the dependency descriptor is agreed to`)
  if (encodings.length > 1) check(/a=simulcast:recv q;h;f\r\n/.test(said.answer), `${name}: the answer takes the rids`)

  const sent = await until(`${name}: all layers are sent, in ${codec}`, 40000, async () => {
    const out = (await stats(page)).pub.outbound
    return out.length === encodings.length && out.every(o => o.framesSent > 10 && o.frameHeight) && out
  })
  if (!sent) { console.log(JSON.stringify((await stats(page)).pub.outbound.map(o => [o.rid, o.frameHeight, o.framesSent, o.qualityLimitationReason]))); await page.close(); continue }
  const layers = sent.map(o => `${o.rid ?? 'one'} ${o.frameHeight}`).join(', ')
  check(sent.map(o => o.rid).sort().join() === encodings.map(e => e.rid).sort().join(), `${name}: ${layers}, ${sent[0].scalabilityMode ?? 'no mode said'}`)

  await until(`${name}: the subscriber has a picture`, 15000, async () => { const r = await picture(); return r?.framesDecoded > 10 && r.frameHeight })
  // Lines of each layer as they are sent: the top one may be less than captured, when the encoder has no time.
  const top = Math.max(...(await stats(page)).pub.outbound.map(o => o.frameHeight))
  await sized(name, page, said.track, 180, top / 4)
  await sized(name, page, said.track, 360, top / 2)
  await sized(name, page, said.track, 0, top)
  await page.evaluate(() => window.c.ask('leave'))
  await page.close()
}
await b.close()
finish()
