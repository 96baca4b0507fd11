// Two pages fill the server; a third page, and aiortc's kind of HTTP, are told so; nothing happens to the two.
import { browser, open, stats, check, until, finish, sleep, base, video } from './lib.mjs'

const b = await browser()
async function enter (n) {
  const page = await open(b)
  await page.evaluate(async ([n, video]) => {
    await window.c.login('u' + n, 'p-u' + n)
    await window.c.join('kitchen')
    await window.c.publish({ audio: true, video })
  }, [n, video])
  return page
}
const pages = [await enter(1), await enter(2)]
const flows = async page => {
  const s = (await stats(page)).sub
  return s && s.inbound.filter(r => r.packetsReceived > 10).length === 2
}
for (const [i, page] of pages.entries()) await until(`page ${i + 1} receives audio and video`, 15000, () => flows(page))
const before = await Promise.all(pages.map(stats))

const third = await open(b)
await third.evaluate(() => window.c.login('u3', 'p-u3'))
for (let i = 0; i < 5; i++) {
  const e = await third.evaluate(() => window.c.join('kitchen').then(() => null, e => ({ code: e.code, message: e.message })))
  check(e?.code === 'overloaded' && /worker 0 would be at \d+ %, the budget is 80 %/.test(e.message), `the third join: ${e?.message}`)
}
const whip = await third.evaluate(async ([base, token]) => {
  const pc = new RTCPeerConnection()
  pc.addTransceiver('audio', { direction: 'sendonly' })
  pc.addTransceiver('video', { direction: 'sendonly' })
  await pc.setLocalDescription(await pc.createOffer())
  const r = await fetch(`${base}/whip/kitchen`, { method: 'POST', body: pc.localDescription.sdp, headers: { Authorization: 'Bearer ' + token, 'Content-Type': 'application/sdp' } })
  return { status: r.status, body: await r.text() }
}, [base, process.env.TOKEN])
check(whip.status === 503 && /overloaded/.test(whip.body), `WHIP: ${whip.status} ${whip.body}`)
const elsewhere = await third.evaluate(() => window.c.join('empty').then(() => 'in', e => e.message))
check(elsewhere === 'in', `a room of its own: ${elsewhere}`)
await third.evaluate(() => window.c.ask('leave'))

await sleep(3000)
const after = await Promise.all(pages.map(stats))
for (const [i, s] of after.entries()) {
  check(!s.error, `page ${i + 1}: no error (${s.error})`)
  check(s.sub.inbound.length === 2, `page ${i + 1}: ${s.sub.inbound.length} streams`)
  for (const r of s.sub.inbound) {
    const was = before[i].sub.inbound.find(o => o.ssrc === r.ssrc)
    check(r.packetsLost === 0 && r.packetsReceived > was.packetsReceived + 20, `page ${i + 1} ${r.kind}: lost ${r.packetsLost}, ${r.packetsReceived - was.packetsReceived} more packets`)
  }
}

await pages[1].evaluate(() => window.c.ask('leave'))
await sleep(1500)
const now = await third.evaluate(() => window.c.join('kitchen').then(() => 'in', e => e.message))
check(now === 'in', `after one left, the third: ${now}`)
await b.close()
finish()
