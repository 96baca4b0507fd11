// Two pages in a room and two in a call while the server's processes are killed under them. Steps come on stdin, answers go to
// stdout, so that the shell beside it does the killing.
import { browser, open, stats, check, until, resumed, follow, finish, video } from './lib.mjs'

const b = await browser()
const pages = []
for (const n of [1, 2]) {
  const page = await open(b)
  pages.push(page)
  await page.evaluate(async ([n, video]) => {
    await window.c.login('u' + n, 'p-u' + n)
    await window.c.join('kitchen')
    await window.c.publish({ audio: true, video })
  }, [n, video])
}
const flowing = () => until('both pages decode', 20000, async () =>
  (await Promise.all(pages.map(stats))).every(s => s.sub?.inbound.some(r => r.kind === 'video' && r.framesDecoded > 5)))
const totals = async () => (await Promise.all(pages.map(stats))).map(s => ({
  frames: s.sub.inbound.reduce((n, r) => n + (r.framesDecoded ?? 0), 0),
  lost: s.sub.inbound.reduce((n, r) => n + r.packetsLost, 0),
  audio: s.sub.inbound.filter(r => r.kind === 'audio').reduce((n, r) => n + r.packetsReceived, 0)
}))
let mark
const steps = {
  async flowing () { await flowing() },
  async mark () { mark = await totals() },
  // Media went on since the mark, nothing lost.
  async unharmed (seconds) {
    for (const [i, t] of (await totals()).entries()) {
      check(t.frames - mark[i].frames > seconds * 5, `page ${i + 1}: ${t.frames - mark[i].frames} frames in ${seconds} s without a daemon`)
      check(t.audio - mark[i].audio > seconds * 40, `page ${i + 1}: ${t.audio - mark[i].audio} audio packets`)
      check(t.lost === mark[i].lost, `page ${i + 1}: lost ${t.lost - mark[i].lost}`)
    }
  },
  // The WebSockets come back and name their sessions; the room is as it was.
  async resume () {
    for (const [i, page] of pages.entries()) {
      const r = await resumed(page, i + 1)
      check(r?.room === 'kitchen' && r?.participants?.length === 1 && r.participants[0].tracks.length === 2,
        `page ${i + 1} resumed: room ${r?.room}, sees ${r?.participants?.map(p => `${p.user} with ${p.tracks.length} tracks`)}`)
    }
    const id = await pages[0].evaluate(() => window.c.published[0].track)
    await pages[0].evaluate(t => window.c.ask('mute', { track: t, muted: true }), id)
    check(await pages[1].evaluate(id => window.c.event('track_updated', 3000, f => f.track.track === id && f.track.muted).then(() => true), id),
      'what one says after the takeover, the other hears')
  },
  // Somebody new joins the room that the new daemon took over.
  async newcomer () {
    const page = await open(b)
    await page.evaluate(async ([video]) => {
      await window.c.login('u3', 'p-u3')
      await window.c.join('kitchen')
      await window.c.publish({ audio: true, video })
    }, [video])
    await until('the newcomer sees both', 15000, async () => (await stats(page)).sub?.inbound.filter(r => r.kind === 'video' && r.framesDecoded > 5).length === 2)
    await until('both see the newcomer', 15000, async () =>
      (await Promise.all(pages.map(stats))).every(s => s.sub.inbound.filter(r => r.kind === 'video' && r.framesDecoded > 5).length === 2))
    await page.evaluate(() => window.c.ask('leave'))
    await page.close()
  },
  // Frames are decoded again after the dataplane came back; the pages were not touched.
  async back () {
    const since = await totals()
    const started = Date.now()
    await until('media is back', 20000, async () => (await totals()).every((t, i) => t.frames > since[i].frames + 10 && t.audio > since[i].audio + 30))
    console.log(`  media back within ${Date.now() - started} ms of asking`)
    for (const s of await Promise.all(pages.map(stats))) check(s.pub.state === 'connected' && s.sub.state === 'connected', `transports ${s.pub.state}, ${s.sub.state}`)
  }
}
await follow(steps)
await b.close()
finish()
