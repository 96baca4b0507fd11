// A person at the page: what the web story's chapters do and look at, in the words of the page.
import { mkdirSync } from 'node:fs'
import { browser, base, check, until as eventually, visit } from './lib.mjs'

const shots = process.env.WEB_SHOTS
if (shots) mkdirSync(shots, { recursive: true })
let b
const complaints = []

// Says so too when it came.
export async function until (what, ms, f) {
  const r = await eventually(what, ms, f)
  if (r) check(true, what)
  return r
}

// Runs before the page's own scripts: small pictures, as all pages share two cores; every transport within reach; policy violations told.
function prepare () {
  if (!navigator.mediaDevices) return // the browser's own error page, before visit() tries again
  const Native = window.RTCPeerConnection
  window.pcs = []
  window.RTCPeerConnection = class extends Native { constructor (...a) { super(...a); window.pcs.push(this) } }
  const devices = navigator.mediaDevices
  const user = devices.getUserMedia.bind(devices)
  const display = devices.getDisplayMedia.bind(devices)
  devices.getUserMedia = c => {
    if (window.refuseMedia) return Promise.reject(new DOMException('no', window.refuseMedia))
    if (c.video) c = { ...c, video: { deviceId: c.video.deviceId, ...(window.capture ?? { width: 320, height: 180 }), frameRate: 15 } }
    return user(c)
  }
  devices.getDisplayMedia = c => display({ ...c, video: { width: 640, height: 360, frameRate: 5 } })
  document.addEventListener('securitypolicyviolation', e => console.error('policy violation', e.violatedDirective, e.blockedURI))
}

export async function start () {
  b = await browser(['--auto-select-desktop-capture-source=Entire screen', '--autoplay-policy=document-user-activation-required'])
}
export async function end () {
  check(complaints.length === 0, `consoles without an error ${complaints.join(' | ')}`)
  await b.close()
}

export class Person {
  static async open (name, { phone, refuse } = {}) {
    const p = new Person()
    p.name = name
    p.context = await b.newContext({ ignoreHTTPSErrors: true, viewport: phone ? { width: 390, height: 844 } : { width: 900, height: 600 }, hasTouch: !!phone, isMobile: !!phone })
    await p.context.addInitScript(prepare)
    if (refuse) await p.context.addInitScript(name => { window.refuseMedia = name }, refuse)
    p.page = await p.context.newPage()
    p.page.setDefaultTimeout(20000)
    p.page.on('pageerror', e => complaints.push(`${name}: ${e.stack}`))
    p.page.on('console', m => {
      // A connection that is refused while a daemon is down is said by the browser itself.
      if (m.type() === 'error' && !/WebSocket connection to|net::ERR_/.test(m.text())) complaints.push(`${name}: ${m.text()}`)
    })
    await visit(p.page, base)
    return p
  }
  static async in (name, options) {
    const p = await Person.open(name, options)
    await p.login()
    return p
  }

  // ---- what one does ----
  async login (password = 'p-' + this.name) {
    await this.page.getByLabel('User name').fill(this.name)
    await this.page.getByLabel('Password').fill(password)
    await this.button('Log in').click()
    if (password === 'p-' + this.name) await this.page.getByRole('heading', { name: 'Who is online' }).waitFor()
  }
  button (name) { return this.page.getByRole('button', { name, exact: true }) }
  async click (name) { await this.button(name).click() }
  async call (other, kind) { await this.page.getByRole('button', { name: `Call ${other.name} ${kind === 'video' ? 'with video' : 'with audio only'}` }).click() }
  async join (room) {
    await this.page.getByLabel('Room name').fill(room)
    await this.click('Join')
    await this.button('Leave').waitFor()
  }
  async close () { await this.context.close() }
  async shot (name) { if (shots) await this.page.screenshot({ path: `${shots}/${name}.png` }) }

  // ---- what one sees ----
  async sees (text, ms = 15000) {
    const ok = await this.page.getByText(text).first().waitFor({ timeout: ms }).then(() => true, () => false)
    return check(ok, `${this.name} sees "${text}"`)
  }
  async inLobby () { return until(`${this.name} is in the lobby`, 20000, () => this.page.getByLabel('Room name').isVisible()) }
  tiles () { return this.page.getByRole('figure').evaluateAll(all => all.map(f => f.getAttribute('aria-label'))) }
  // A tile's picture moves: frames are shown, and time goes on.
  moving (tile, ms = 30000) {
    let before
    return until(`${this.name}: the picture of ${tile} moves`, ms, async () => {
      const now = await this.page.evaluate(tile => {
        const v = [...document.querySelectorAll('figure')].find(f => f.getAttribute('aria-label').startsWith(tile))?.querySelector('video')
        return v?.srcObject ? [v.getVideoPlaybackQuality().totalVideoFrames, v.currentTime] : undefined
      }, tile)
      if (!now) { before = undefined; return false }
      if (!before || now[0] < before[0]) { before = now; return false }
      return now[0] > before[0] + 5 && now[1] > before[1]
    })
  }
  async report () {
    return this.page.evaluate(async () => {
      const sum = { audio: 0, energy: 0, lost: 0, out: 0, inbound: 0, states: window.pcs.filter(p => p.connectionState !== 'closed').map(p => p.connectionState) }
      for (const pc of window.pcs.filter(p => p.connectionState !== 'closed')) {
        for (const s of (await pc.getStats()).values()) {
          if (s.type === 'inbound-rtp') sum.inbound++
          if (s.type === 'inbound-rtp' && s.kind === 'audio') { sum.audio += s.packetsReceived; sum.energy += s.totalAudioEnergy }
          if (s.type === 'outbound-rtp') sum.out += s.packetsSent
        }
      }
      sum.playing = [...document.querySelectorAll('audio')].filter(a => !a.paused && a.srcObject).length
      return sum
    })
  }
  async hears (n = 1, ms = 30000) {
    const before = await this.report()
    return until(`${this.name} hears ${n}`, ms, async () => {
      const now = await this.report()
      if (now.energy < before.energy) Object.assign(before, now)
      return now.energy > before.energy && now.audio > before.audio + 20 && now.playing >= n
    })
  }
  connected (ms = 30000) { return until(`${this.name}: "connected"`, ms, () => this.page.getByText('connected', { exact: true }).isVisible()) }
  muted (tile, yes, ms = 15000) {
    return until(`${this.name}: ${tile} is ${yes ? '' : 'not '}muted`, ms, async () => (await this.tiles()).some(t => t === (yes ? `${tile}, muted` : tile)))
  }
  // Nothing sticks out at the side; each control is in the picture and can be hit.
  async fits (what) {
    const r = await this.page.evaluate(() => {
      const bad = []
      const top = document.querySelector('dialog[open]') ?? document
      for (const e of top.querySelectorAll('button, input, select')) {
        const r = e.getBoundingClientRect()
        if (!r.width) continue
        const at = document.elementFromPoint(r.x + r.width / 2, r.y + r.height / 2)
        const name = e.getAttribute('aria-label') ?? e.textContent
        if (r.left < 0 || r.right > innerWidth || r.top < 0 || r.bottom > innerHeight) bad.push(`${name} is outside`)
        else if (!at || !(e.contains(at) || at.contains(e))) bad.push(`${name} is covered`)
        else if (r.height < 32) bad.push(`${name} is only ${r.height} high`)
      }
      if (document.documentElement.scrollWidth > innerWidth) bad.push('scrolls sideways')
      return bad
    })
    check(r.length === 0, `${what}: all controls in reach ${r.join(', ')}`)
  }
  // By hand, what axe would say first: names, ids, languages, headings, focus inside an open dialog, tab order without tricks.
  async accessible (what) {
    const bad = await this.page.evaluate(() => {
      const bad = []
      const named = e => e.getAttribute('aria-label') || e.labels?.length || e.textContent.trim() || (e.getAttribute('aria-labelledby') && document.getElementById(e.getAttribute('aria-labelledby'))?.textContent)
      for (const e of document.querySelectorAll('button, input, select, textarea, a, dialog, [role=meter], aside, nav')) if (!named(e)) bad.push(`no name: ${e.outerHTML.slice(0, 80)}`)
      for (const e of document.querySelectorAll('img, svg')) if (!e.getAttribute('alt') && e.getAttribute('aria-hidden') !== 'true') bad.push('picture without words')
      const ids = [...document.querySelectorAll('[id]')].map(e => e.id)
      if (new Set(ids).size !== ids.length) bad.push('an id twice')
      if (document.querySelectorAll('h1').length !== 1) bad.push(`${document.querySelectorAll('h1').length} h1`)
      if (document.querySelectorAll('main').length !== 1) bad.push(`${document.querySelectorAll('main').length} main`)
      if (!document.documentElement.lang || !document.title) bad.push('no language or title')
      if (document.querySelector('[tabindex]:not([tabindex="0"]):not([tabindex="-1"])')) bad.push('a positive tabindex')
      for (const e of document.querySelectorAll('[aria-hidden=true]')) if (e.contains(document.activeElement)) bad.push('focus on something hidden')
      const dialog = document.querySelector('dialog[open]')
      if (dialog && !dialog.contains(document.activeElement)) bad.push('focus outside the dialog')
      return bad
    })
    check(bad.length === 0, `${what}: accessible ${bad.join(', ')}`)
  }
}
