// A room that grows past rooms.direct_max (3, with 2 audio and 2 video slots): each page is sent four streams however many publish,
// hears and sees whoever speaks but never itself, is told who it is, all of it goes on while callstackd is dead, and comes back with another dataplane.
// Steps come on stdin, answers go to stdout, so that the shell beside it does the killing.
import { browser, open, stats, check, until, resumed, follow, finish, sleep } from './lib.mjs'

const video = { width: 160, height: 90, frameRate: 8 }
const b = await browser()
const pages = []
const ids = []

// A voice that can be turned on and off takes the microphone's place before anything is sent: modulated noise, as a voice
// detector may take a pure tone for none.
async function enter () {
  const n = pages.length + 1
  const page = await open(b)
  pages.push(page)
  ids.push(await page.evaluate(async ([n, video]) => {
    const ac = new AudioContext()
    const noise = ac.createBuffer(1, ac.sampleRate, ac.sampleRate)
    const data = noise.getChannelData(0)
    for (let i = 0; i < data.length; i++) data[i] = (Math.random() - 0.5) * (0.6 + 0.4 * Math.sin(i * 2 * Math.PI * 5 / ac.sampleRate))
    const src = new AudioBufferSourceNode(ac, { buffer: noise, loop: true })
    const gain = new GainNode(ac, { gain: 0 })
    const out = ac.createMediaStreamDestination()
    src.connect(gain).connect(out)
    src.start()
    const gum = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices)
    navigator.mediaDevices.getUserMedia = async () => {
      const s = await gum({ video })
      s.addTrack(out.stream.getAudioTracks()[0])
      return s
    }
    window.speak = on => { gain.gain.value = on ? 0.7 : 0 }
    await window.c.login('u' + n, 'p-u' + n)
    await window.c.join('hall')
    await window.c.publish({ audio: true, video })
    return window.c.participant
  }, [n, video]))
}

const speak = async n => { for (const [i, p] of pages.entries()) await p.evaluate(on => window.speak(on), i === n) }
const told = page => page.evaluate(() => window.c.events.filter(e => e.type === 'speakers').at(-1))
// What grows at a page within two seconds, by m-line.
async function flow (n, ms = 2000) {
  const read = async () => new Map((await stats(pages[n])).sub.inbound.map(r => [r.mid, r]))
  const a = await read()
  await sleep(ms)
  const z = await read()
  return [...z].map(([mid, r]) => ({
    mid, kind: r.kind, lost: r.packetsLost, packets: r.packetsReceived - (a.get(mid)?.packetsReceived ?? 0),
    frames: (r.framesDecoded ?? 0) - (a.get(mid)?.framesDecoded ?? 0), energy: (r.totalAudioEnergy ?? 0) - (a.get(mid)?.totalAudioEnergy ?? 0)
  })).filter(r => r.packets > 0)
}
const slotsOf = page => page.evaluate(() => Object.values(window.c.mids).filter(m => m.slot).length)
const loud = r => r.energy > 0.001

// Everybody but the speaker hears and sees him, at a slot; the speaker is not sent himself.
async function heard (n, others) {
  const flows = await Promise.all([...others, n].map(i => flow(i)))
  for (const [k, i] of others.entries()) {
    const f = flows[k]
    const audio = f.filter(r => r.kind === 'audio'); const pictures = f.filter(r => r.kind === 'video')
    check(audio.length <= 2 && pictures.length <= 2, `page ${i + 1}: ${audio.length} audio and ${pictures.length} video streams`)
    check(audio.some(loud), `page ${i + 1} hears page ${n + 1}: energy ${audio.map(r => r.energy.toFixed(4))}`)
  }
  const own = flows.at(-1).filter(r => r.kind === 'audio' && loud(r))
  check(own.length === 0, `page ${n + 1} does not hear itself`)
}
async function shown (n, others) {
  await Promise.all(others.map(async i => {
    const s = await told(pages[i])
    const slot = s.video.find(v => v.participant === ids[n])?.slot
    const mid = await pages[i].evaluate(slot => Object.values(window.c.mids).find(m => m.track === slot)?.mid, slot)
    await until(`page ${i + 1} sees page ${n + 1} at its slot (m-line ${mid})`, 20000, async () => {
      const r = (await flow(i, 1000)).find(r => r.mid === mid)
      return r && r.frames > 1
    })
  }))
}
async function floor (n, others) {
  for (const i of others) {
    await until(`page ${i + 1} is told that page ${n + 1} has the floor`, 15000, async () => {
      const s = await told(pages[i])
      return s?.dominant === ids[n] && s.audio.some(a => a.participant === ids[n]) && s.video.some(v => v.participant === ids[n])
    })
  }
}

const steps = {
  async small () {
    for (let i = 0; i < 3; i++) await enter()
    await until('three pages, each decodes the two others', 20000, async () => (await Promise.all(pages.map(stats))).every(s =>
      s.sub?.inbound.filter(r => r.kind === 'video' && r.framesDecoded > 3).length === 2))
    for (const [i, p] of pages.entries()) check(await slotsOf(p) === 0, `page ${i + 1}: no slots in a room of three`)
  },
  async grow () {
    const before = await Promise.all(pages.map(p => p.evaluate(() => window.c.events.filter(e => e.type === 'offer').length)))
    await enter()
    for (const [i, p] of pages.entries()) await until(`page ${i + 1} is sent four slots`, 10000, async () => await slotsOf(p) === 4)
    await sleep(1000)
    for (let i = 0; i < 3; i++) {
      const offers = await pages[i].evaluate(() => window.c.events.filter(e => e.type === 'offer').length)
      check(offers - before[i] === 1, `page ${i + 1}: ${offers - before[i]} offer when the room turned`)
    }
    await enter()
    await until('the fifth page is sent four slots', 10000, async () => await slotsOf(pages[4]) === 4)
    for (const [i, f] of (await Promise.all(pages.map((_, i) => flow(i)))).entries()) {
      check(f.length <= 4, `page ${i + 1}: ${f.length} streams come in a room of five`)
    }
  },
  async speak (n) { await speak(n); await floor(n, [0, 1, 2, 3, 4]); await heard(n, [0, 1, 2, 3, 4].filter(i => i !== n)); await shown(n, [0, 1, 2, 3, 4].filter(i => i !== n)) },
  // Nobody can tell the pages; the media itself has to.
  async orphaned (n) { await speak(n); await sleep(4000); await heard(n, [0, 1, 2, 3, 4].filter(i => i !== n)) },
  async resume () {
    for (const [i, page] of pages.entries()) {
      const r = await resumed(page, i + 1)
      check(r?.room === 'hall' && r?.participants?.length === 4, `page ${i + 1} resumed, sees ${r?.participants?.length}`)
    }
  },
  async told (n) { await floor(n, [0, 1, 2, 3, 4]); await shown(n, [0, 1, 2, 3, 4].filter(i => i !== n)) },
  async whole () {
    for (const [i, s] of (await Promise.all(pages.map(stats))).entries()) {
      const lost = s.sub.inbound.reduce((n, r) => n + r.packetsLost, 0)
      check(lost === 0, `page ${i + 1}: lost ${lost} packets over all switches`)
      check(!s.error, `page ${i + 1}: no error (${s.error})`)
    }
    const layers = await pages[0].evaluate(() => window.c.events.filter(e => e.type === 'layers').length)
    console.log(`  layers events at page 1: ${layers}`)
  },
  async shown () { for (const i of pages.keys()) await until(`page ${i + 1} is shown others`, 10000, async () => (await picturesOf(i)).size > 0) },
  // A new dataplane is there: whoever was shown somebody else is again, though nobody asks for anything or speaks anew.
  async restarted () {
    const at = Date.now()
    const since = await Promise.all(pages.map((_, i) => picturesOf(i)))
    const took = await Promise.all(pages.map(async (_, i) => {
      await until(`page ${i + 1} is shown what it was shown before`, 20000, async () => {
        const now = await picturesOf(i)
        return [...since[i]].every(([mid, n]) => now.get(mid) > n + 1)
      })
      return Date.now() - at
    }))
    for (const [i, ms] of took.entries()) check(ms < 2000, `page ${i + 1}: ${since[i].size} pictures back after ${ms} ms`)
  }
}
// Frames decoded so far at the slots that somebody else is in, by m-line.
async function picturesOf (i) {
  const s = await told(pages[i])
  const inbound = (await stats(pages[i])).sub.inbound
  const mids = await pages[i].evaluate(() => Object.values(window.c.mids))
  const shown = s.video.filter(v => v.participant && v.participant !== ids[i]).map(v => mids.find(m => m.track === v.slot)?.mid)
  return new Map(shown.map(mid => [mid, inbound.find(r => r.mid === mid)?.framesDecoded ?? 0]))
}
await follow(steps)
await b.close()
finish()
