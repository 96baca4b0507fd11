// The chapters of the web story. They share two or three people; each begins and ends with everybody in the lobby.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, unlinkSync } from 'node:fs'
import { check, finish, sleep } from './lib.mjs'
import { Person, end, start, until } from './web_page.mjs'

const rundir = process.env.CALLSTACK_RUNDIR
const pidOf = name => Number(readFileSync(`${rundir}/${name}.pid`, 'utf8'))
const kill = name => process.kill(pidOf(name), 'SIGKILL')
const all = (...doings) => Promise.all(doings)
let one, two

const chapters = {
  async login () {
    one = await Person.open('u1')
    await one.shot('login')
    await one.accessible('login')
    await one.login('wrong')
    await one.sees('Wrong user name or password.')
    await one.page.getByRole('button', { name: 'Dismiss' }).click()
    await one.login()
    await one.sees('Nobody else yet')
    two = await Person.in('u2')
    await one.sees('u2', 5000)
    await two.sees('u1', 5000)
    await one.shot('lobby')
    await one.accessible('lobby')
  },

  async video_call () {
    await one.call(two, 'video')
    await two.sees('u1 is calling')
    await one.sees('Ringing u2…')
    await all(one.accessible('ringing'), two.accessible('being rung'), two.shot('incoming'), one.shot('outgoing'))
    check(await two.page.title() === 'u1 is calling · CallStack', 'the title says who calls')
    await two.click('Accept with video')
    await all(one.moving('u2'), two.moving('u1'))
    await all(one.hears(), two.hears())
    await all(one.connected(), two.connected())
    await all(one.shot('call'), one.accessible('call'), one.fits('call'))

    await one.click('Mute')
    await two.muted('u1', true)
    await one.click('Unmute')
    await two.muted('u1', false)
    for (let i = 0; i < 2; i++) {
      await one.click('Camera off')
      await until('u2 has no picture of u1', 10000, () => two.page.evaluate(() => !document.querySelector('figure[aria-label^=u1] video').srcObject))
      await one.click('Camera on')
      await two.moving('u1')
    }
    await all(one.moving('u2'), two.hears())
  },

  async keyboard () {
    await one.page.locator('h1').click()
    await one.page.keyboard.press('m')
    await two.muted('u1', true)
    await one.page.keyboard.press('m')
    await two.muted('u1', false)
    await one.page.keyboard.press('i')
    check(await one.page.getByLabel('Statistics').last().isVisible(), 'key i: statistics')
    await one.page.keyboard.press('c')
    await one.page.keyboard.type('mv typed')
    check(await one.page.getByLabel('Message', { exact: true }).inputValue() === 'mv typed', 'key c: the chat, where letters are letters')
    await one.page.keyboard.press('Enter')
    await two.button('Chat, 1 unread').waitFor()
    await two.page.keyboard.press('c')
    await two.sees('mv typed')
    await two.page.getByLabel('Message', { exact: true }).fill('<b>hello</b> ∀')
    await two.click('Send')
    await one.sees('<b>hello</b> ∀')
    await all(one.shot('chat'), one.accessible('chat'))
    await all(one.click('Chat'), two.click('Chat'))
  },

  async devices () {
    await one.page.locator('h1').click()
    await one.page.keyboard.press('d')
    const meter = one.page.getByRole('meter')
    const seen = new Set()
    await until('the level meter moves', 15000, async () => seen.add(await meter.getAttribute('aria-valuenow')).size > 3)
    const camera = one.page.getByLabel('Camera', { exact: true })
    await until('a camera to choose', 10000, async () => await camera.locator('option').count() > 1)
    await one.shot('devices')
    await one.accessible('devices')
    const last = await camera.locator('option').last().getAttribute('value')
    await camera.selectOption(last)
    await one.page.getByLabel('Microphone', { exact: true }).selectOption({ index: 1 })
    await one.click('Done')
    await two.moving('u1')
    await two.hears()
  },

  async screen () {
    await one.click('Share screen')
    await two.moving('u1’s screen')
    check((await two.tiles()).length === 3, `tiles: ${await two.tiles()}`)
    await two.shot('screen')
    await one.click('Stop sharing')
    await until('the screen is gone', 10000, async () => (await two.tiles()).length === 2)
    await two.moving('u1')
  },

  async statistics () {
    await one.click('Statistics')
    await one.sees(/AEAD_AES_\d+_GCM/)
    await until('numbers', 15000, async () => /(\d+×\d+).*fps.*[1-9]\d* kb\/s.*lost 0 of \d+/.test(await one.page.locator('aside').innerText()))
    await one.shot('statistics')
    await one.click('Statistics')
  },

  async hangup () {
    await one.click('Leave')
    await all(one.inLobby(), two.inLobby())
    await two.sees('The call ended.')
    await until('cameras are off', 5000, () => one.page.evaluate(() => window.pcs.every(p => p.connectionState === 'closed')))
  },

  async not_answered () {
    await one.call(two, 'audio')
    await two.click('Decline')
    await one.sees('The call was declined.')
    await one.call(two, 'audio')
    await two.sees('u1 is calling')
    await one.click('Cancel')
    await two.sees('The caller hung up.')
    await one.call(two, 'audio')
    await two.sees('u1 is calling')
    await two.page.keyboard.press('Escape')
    await one.inLobby()
    await one.sees('The call was declined.')
    await one.call(two, 'audio')
    await one.sees('Nobody answered.', 30000)
    check(!await two.page.getByRole('dialog').isVisible(), 'and it rings no more')
  },

  async busy () {
    const three = await Person.in('u3')
    await one.call(two, 'audio')
    await two.click('Accept with audio')
    await all(one.hears(), two.hears())
    await three.sees('in a call')
    check(await three.page.getByRole('button', { name: 'Call u2 with video' }).isDisabled(), 'nobody can be called who is in a call')
    await three.close()
    await two.click('Leave')
    await all(one.inLobby(), two.inLobby())
  },

  // A call rings in a room: accepting it leaves the room. Double clicks do one thing.
  async from_a_room () {
    await two.join('lounge')
    await one.page.getByRole('button', { name: 'Call u2 with video' }).dblclick()
    await two.page.getByRole('button', { name: 'Accept with video' }).dblclick()
    await all(one.moving('u2'), two.moving('u1'))
    await one.sees('Call with u2')
    await one.button('Leave').dblclick()
    await all(one.inLobby(), two.inLobby())
  },

  async room () {
    const three = await Person.in('u3', { phone: true })
    await three.shot('phone-lobby')
    await three.fits('lobby on a phone')
    await all(one.join('standup'), two.join('standup'))
    await three.join('standup')
    await all(one.moving('u3'), one.moving('u2'), two.moving('u1'), two.moving('u3'), three.moving('u1'), three.moving('u2'))
    await all(one.hears(2), two.hears(2), three.hears(2))
    await all(one.shot('room'), three.shot('phone-room'), three.fits('room on a phone'))
    await three.click('Chat')
    await three.shot('phone-chat')
    await three.fits('chat on a phone')
    await three.click('Chat')
    await three.click('Devices')
    await three.shot('phone-devices')
    await three.fits('devices on a phone')
    await three.click('Done')
    await three.click('Leave')
    await three.inLobby()
    await until('u3 is gone', 10000, async () => !(await one.tiles()).some(t => t.startsWith('u3')))
    await three.close()
    await all(one.click('Leave'), two.click('Leave'))
    await all(one.inLobby(), two.inLobby())
  },

  // A small camera is sent in one layer: with nobody to see it, it rests, and is there again for who comes.
  async unwatched () {
    const sent = () => one.page.evaluate(async () => {
      let n = 0
      for (const pc of window.pcs) if (pc.connectionState !== 'closed') (await pc.getStats()).forEach(s => { if (s.type === 'outbound-rtp' && s.kind === 'video') n += s.framesSent ?? 0 })
      return n
    })
    const rests = what => until(what, 20000, async () => { const before = await sent(); await sleep(1500); return await sent() === before })
    await one.page.evaluate(() => { window.capture = { width: 160, height: 90 } })
    await one.join('den')
    await until('u1 sends its camera at first', 20000, async () => await sent() > 5)
    await rests('nobody is there: it rests')
    await two.join('den')
    await two.moving('u1')
    await sleep(8000)
    const before = await sent()
    await two.moving('u1')
    check(await sent() > before, 'and goes on while it is watched')
    await two.click('Leave')
    await two.inLobby()
    await rests('nobody is left: it rests again')
    await one.page.evaluate(() => { delete window.capture })
    await one.click('Leave')
    await one.inLobby()
  },

  async together () {
    await all(one.join('standup'), two.join('standup'))
    await all(one.moving('u2'), two.moving('u1'))
  },

  // From here to network_lost two people are in a room.
  async reload () {
    await one.page.reload()
    await one.button('Leave').waitFor()
    await all(one.moving('u2'), two.moving('u1'))
    await all(two.hears(), until('sound, or a button for it', 20000, async () =>
      await one.button('Turn on sound').isVisible() || (await one.report()).playing > 0))
    if (await one.button('Turn on sound').isVisible()) await one.click('Turn on sound')
    await one.hears()
    check((await two.tiles()).length === 2, `the other sees each once: ${await two.tiles()}`)
  },

  async daemon_killed () {
    const before = await one.report()
    kill('callstackd')
    await one.sees('The connection to the server was lost')
    await one.shot('banner')
    await all(one.moving('u2'), two.moving('u1'))
    await until('the banner goes', 40000, async () => !await one.page.getByText('The connection to the server was lost').isVisible() &&
      !await two.page.getByText('The connection to the server was lost').isVisible())
    check((await one.report()).audio > before.audio, 'media went on')
    await one.click('Mute')
    await two.muted('u1', true)
    await one.click('Unmute')
    await two.muted('u1', false)
  },

  async dataplane_killed () {
    kill('callstack-dataplane')
    await sleep(1000)
    await all(one.moving('u2', 60000), two.moving('u1', 60000))
    await all(one.hears(), two.hears(), one.connected(60000), two.connected(60000))
  },

  // Both daemons gone, and all that the dataplane knew: every transport is made anew, and nobody touches the page.
  async state_lost () {
    kill('supervisor')
    kill('callstackd')
    kill('callstack-dataplane')
    await sleep(300)
    for (const f of ['dataplane.state']) if (existsSync(`${rundir}/${f}`)) unlinkSync(`${rundir}/${f}`)
    execFileSync(process.env.CALLSTACK_SUPERVISE ?? new URL('../../conf/callstack', import.meta.url).pathname,
      ['up', '--interface', 'lo', '--address', '127.0.0.1', '--set', 'ring_timeout=15', '--detach'], { stdio: 'pipe' })
    await all(one.moving('u2', 90000), two.moving('u1', 90000))
    await all(one.hears(), two.hears(), one.connected(60000), two.connected(60000))
  },

  // Nothing comes through for long enough that ICE gives up.
  async network_lost () {
    const nft = text => execFileSync('nft', ['-f', '-'], { input: text })
    nft('table inet lost { chain out {\ntype filter hook output priority 0;\nudp dport 10000-10015 drop; tcp dport 8443 drop; tcp sport 8443 drop; }\n}\n')
    await sleep(25000)
    nft('delete table inet lost')
    await all(one.moving('u2', 90000), two.moving('u1', 90000))
    await all(one.connected(60000), two.connected(60000))
    await all(one.click('Leave'), two.click('Leave'))
    await all(one.inLobby(), two.inLobby())
  },

  // A call goes on over a reload of either page.
  async reload_in_call () {
    await one.call(two, 'video')
    await two.click('Accept with video')
    await all(one.moving('u2'), two.moving('u1'))
    await two.page.reload()
    await two.button('Leave').waitFor()
    await all(one.moving('u2'), two.moving('u1'))
    await two.sees('Call with u1')
    await two.click('Leave')
    await all(one.inLobby(), two.inLobby())
    await two.page.reload()
    await two.inLobby()
  },

  async refused_devices () {
    for (const [error, words] of [['NotAllowedError', 'not allowed to use the camera'], ['NotFoundError', 'There is no microphone']]) {
      const three = await Person.in('u3', { refuse: error })
      await one.join('listeners')
      await three.join('listeners')
      await three.sees(words)
      await three.moving('u1')
      check((await one.tiles()).includes('u3, muted'), 'one who only listens is seen to be there')
      if (error === 'NotFoundError') await three.shot('refused')
      await three.click('Leave')
      await three.close()
      await one.click('Leave')
      await one.inLobby()
    }
  },

  async phone_call () {
    await two.page.setViewportSize({ width: 390, height: 844 })
    await one.call(two, 'video')
    await two.shot('phone-incoming')
    await two.fits('being rung on a phone')
    await two.click('Accept with video')
    await two.moving('u1')
    await two.shot('phone-call')
    await two.fits('call on a phone')
    await two.click('Leave')
    await all(one.inLobby(), two.inLobby())
  },

  async logout () {
    await two.click('Log out')
    await two.page.getByLabel('Password').waitFor()
    await until('u2 is gone', 10000, async () => !await one.page.getByText('u2').isVisible())
  }
}

const lost = ['together', 'reload', 'daemon_killed', 'dataplane_killed', 'state_lost', 'network_lost', 'reload_in_call']
const only = process.env.WEB_ONLY?.split(' ') ?? (process.env.WEB_PART === 'lost' ? ['login', ...lost] : Object.keys(chapters).filter(c => !lost.includes(c)))
await start()
for (const [name, chapter] of Object.entries(chapters)) {
  if (!only.includes(name)) continue
  const began = Date.now()
  console.log(name)
  try { await chapter() } catch (e) {
    check(false, `${name}: ${e.message}`)
    for (const p of [one, two]) {
      console.log(`  ${p?.name}: ${await p?.page.evaluate(() => document.body.innerText.replace(/\s+/g, ' ')).catch(String)}`)
      await p?.shot(`failed-${name}-${p.name}`).catch(() => {})
      await p?.page.keyboard.press('Escape').catch(() => {})
    }
  }
  console.log(`  (${Math.round((Date.now() - began) / 1000)} s)`)
}
await end()
finish()
