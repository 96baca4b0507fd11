// Three pages in one room for ROOM_SECONDS: each decodes the two others' video and hears their audio, loses nothing, over GCM and
// the dataplane's port; a fourth that joins late has a picture within a second; one that leaves falls silent at once.
import { browser, open, stats, check, until, finish, sleep, video } from './lib.mjs'

const seconds = Number(process.env.ROOM_SECONDS ?? 60)
const codec = process.env.ROOM_CODEC
const b = await browser()

async function enter (n) {
  const page = await open(b)
  await page.evaluate(async ([n, video, codec]) => {
    const c = window.c
    await c.login('u' + n, 'p-u' + n)
    await c.join('kitchen')
    await c.publish({ audio: true, video }, { codec })
  }, [n, video, codec])
  return page
}
const pages = []
for (const n of [1, 2, 3]) pages.push(await enter(n))

for (const [i, page] of pages.entries()) {
  await until(`page ${i + 1} decodes two videos and hears two`, 15000, async () => {
    const s = (await stats(page)).sub
    return s && s.inbound.filter(r => r.kind === 'video' && r.framesDecoded > 5).length === 2 &&
      s.inbound.filter(r => r.kind === 'audio' && r.totalAudioEnergy > 0).length === 2
  })
}
const before = await Promise.all(pages.map(stats))
await sleep(seconds * 1000)
const after = await Promise.all(pages.map(stats))

for (const [i, s] of after.entries()) {
  const who = `page ${i + 1}`
  check(!s.error, `${who}: no error (${s.error})`)
  for (const [name, t] of [['publish', s.pub], ['subscribe', s.sub]]) {
    check(t.state === 'connected', `${who} ${name}: ${t.state}`)
    check(/AEAD_AES_(128|256)_GCM/.test(t.transport.srtpCipher), `${who} ${name}: srtpCipher ${t.transport.srtpCipher}`)
    check(t.remoteCandidate?.port >= 10000 && t.remoteCandidate?.port < 10016,
      `${who} ${name}: selected pair ${t.local?.address}:${t.local?.port} ↔ ${t.remoteCandidate?.address}:${t.remoteCandidate?.port}`)
  }
  for (const r of s.sub.inbound) {
    const was = before[i].sub.inbound.find(o => o.ssrc === r.ssrc)
    check(r.packetsLost === 0, `${who} ${r.kind} ${r.ssrc}: lost ${r.packetsLost} of ${r.packetsReceived}`)
    if (r.kind === 'video') {
      check(r.framesDecoded - was.framesDecoded > seconds * 5, `${who}: decoded ${r.framesDecoded - was.framesDecoded} frames in ${seconds} s, ${r.frameWidth}x${r.frameHeight}`)
      console.log(`       ${who}: freezes ${r.freezeCount - was.freezeCount} (this machine encodes and decodes all pages on two cores)`)
    } else {
      check(r.totalAudioEnergy > was.totalAudioEnergy, `${who}: hears audio, energy ${(r.totalAudioEnergy - was.totalAudioEnergy).toFixed(4)}`)
    }
  }
  check(s.sub.inbound.length === 4, `${who}: ${s.sub.inbound.length} incoming streams`)
}

// The late one.
const late = await enter(4)
await until('the late page has all three pictures', 10000, () => late.evaluate(() =>
  [...window.c.tracks.values()].filter(t => t.kind === 'video' && t.firstFrameAt).length === 3))
const delay = await late.evaluate(() => Math.max(...[...window.c.tracks.values()].filter(t => t.kind === 'video')
  .map(t => t.firstFrameAt - Math.max(t.at, window.c.subConnectedAt))))
check(delay < 1000, `late page: a picture ${Math.round(delay)} ms after its DTLS was up`)

// Leaving: the others' streams of the one that left stop growing.
const gone = await pages[2].evaluate(() => window.c.participant)
await pages[2].evaluate(() => window.c.ask('leave'))
await pages[0].evaluate(id => window.c.event('left', 3000, f => f.participant === id), gone)
const count = async () => (await stats(pages[0])).sub.inbound.reduce((m, r) => m.set(r.ssrc, r.packetsReceived), new Map())
await sleep(300)
const [one] = [await count()]
await sleep(1500)
const two = await count()
const growing = [...two].filter(([ssrc, n]) => n > (one.get(ssrc) ?? 0)).length
check(growing === 4, `after one left, streams that still grow: ${growing} of 4`)
check((await stats(pages[2])).sub === null || await pages[2].evaluate(async () => {
  const a = (await window.c.stats()).sub.inbound.reduce((n, r) => n + r.packetsReceived, 0)
  await new Promise(resolve => setTimeout(resolve, 1000))
  return (await window.c.stats()).sub.inbound.reduce((n, r) => n + r.packetsReceived, 0) === a
}), 'the one that left receives nothing more')

await b.close()
finish()
