// Two pages in one room; then what the story asks for, a word a line on standard input.
import { browser, open, stats, check, until, follow, finish, sleep, video } from './lib.mjs'

const b = await browser()
const pages = []
for (const n of [1, 2]) {
  const page = await open(b)
  await page.evaluate(async ([n, video]) => {
    await window.c.login('u' + n, 'p-u' + n)
    await window.c.join('kitchen')
    await window.c.publish({ audio: true, video }, {})
  }, [n, video])
  pages.push(page)
}
const inbound = async (page, kind) => ((await stats(page)).sub?.inbound ?? []).find(r => r.kind === kind) ?? {}
const plays = async page => (await inbound(page, 'video')).framesDecoded > 5 && (await inbound(page, 'audio')).totalAudioEnergy > 0
for (const page of pages) await until('the other is seen and heard', 30000, () => plays(page))

const commands = {
  // Frames and sound go on, for so many seconds.
  async flows (seconds) {
    for (const [i, page] of pages.entries()) {
      const v = await inbound(page, 'video'); const a = await inbound(page, 'audio')
      await sleep(seconds * 1000)
      const w = await inbound(page, 'video'); const c = await inbound(page, 'audio')
      const fps = (w.framesDecoded - v.framesDecoded) / seconds
      check(fps > video.frameRate / 2, `page ${i + 1}: ${fps.toFixed(1)} frames a second decoded, lost ${w.packetsLost}, ` +
        `asked again ${w.nackCount}, by RTX ${w.retransmittedPacketsReceived}`)
      check(c.totalAudioEnergy > a.totalAudioEnergy, `page ${i + 1}: hears, lost ${c.packetsLost} of ${c.packetsReceived}, ` +
        `concealed ${((c.concealedSamples - a.concealedSamples) * 100 / (c.totalSamplesReceived - a.totalSamplesReceived)).toFixed(1)} %`)
    }
  },
  async repaired () {
    for (const [i, page] of pages.entries()) {
      const v = await inbound(page, 'video')
      check(v.nackCount > 0 && v.retransmittedPacketsReceived > 0, `page ${i + 1}: RTX repaired ${v.retransmittedPacketsReceived} packets`)
    }
  }
}
await follow(commands)
await b.close()
finish()
