// What the browser stories share: Chromium, pages that run client.js, checks that print what they saw.
import { chromium } from 'playwright-core'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { dirname, join } from 'node:path'

const here = dirname(fileURLToPath(import.meta.url))
export const base = process.env.CALLSTACK_URL ?? 'https://127.0.0.1:8443'
export const video = { width: 320, height: 180, frameRate: 15 }
export const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

export async function browser (extra = [], executablePath = '/usr/bin/chromium') {
  return chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--headless=new', '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream',
      '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-gpu', '--disable-quic',
      '--no-first-run', '--autoplay-policy=no-user-gesture-required', '--ignore-certificate-errors', ...extra]
  })
}

// The first page may come while the namespace's links do; Chromium then drops what it has begun.
export async function visit (page, url) {
  for (let left = 5; ; left--) {
    try { return await page.goto(url) } catch (e) {
      if (!left || !/net::ERR_NETWORK_CHANGED/.test(e.message)) throw e
      await sleep(500)
    }
  }
}

// A page of its own context, with a connected client as window.c.
export async function open (b) {
  const context = await b.newContext({ ignoreHTTPSErrors: true, bypassCSP: true, permissions: ['camera', 'microphone'] })
  const page = await context.newPage()
  page.on('pageerror', e => console.log('page error:', e.message))
  await visit(page, base + '/healthz')
  await page.addScriptTag({ content: readFileSync(join(here, 'client.js'), 'utf8') })
  await page.evaluate(url => { document.body.textContent = ''; window.c = new window.CallStackClient(url); return window.c.connect() },
    base.replace('https', 'wss') + '/ws')
  return page
}
export const stats = page => page.evaluate(() => window.c.stats())

let failed = 0
export function check (ok, what) {
  console.log((ok ? '  ok   ' : '  FAIL ') + what)
  if (!ok) failed++
  return ok
}
export async function until (what, ms, f) {
  const end = Date.now() + ms
  let last
  while (Date.now() < end) {
    last = await f()
    if (last) return last
    await sleep(100)
  }
  check(false, `${what} within ${ms} ms`)
  return last
}
// The session of a page whose daemon died, with the new one.
export const resumed = (page, n) => until(`page ${n} resumes`, 20000, () => page.evaluate(async () => {
  try { await window.c.connect(); return await window.c.resume() } catch (e) { return null }
}))
// Does what the shell beside it asks for (lib.sh's step): a step's name and its numbers a line on standard input; says when it is done.
export async function follow (steps) {
  console.log('ready')
  for await (const line of createInterface({ input: process.stdin })) {
    const [name, ...args] = line.split(' ')
    if (name === 'end') break
    try { await steps[name](...args.map(Number)) } catch (e) { check(false, `${name}: ${e.message}`) }
    console.log(`done ${name}`)
  }
}
export function finish () { process.exit(failed ? 1 : 0) }
