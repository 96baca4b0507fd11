// @vitest-environment node
import { describe, expect, it } from 'vitest'
import { activate, camera, preferred, screen } from './encodings'

describe('encodings', () => {
  it.each([[1280, 720, 'l/4 m/2 h/1'], [640, 480, 'l/4 m/2 h/1'], [639, 360, 'l/2 h/1'], [320, 180, 'l/2 h/1'], [176, 144, 'undefined/undefined']])(
    'go with the size of the capture: %d×%d', (width, height, text) => {
      expect(camera(width, height).map(e => `${e.rid}/${e.scaleResolutionDownBy}`).join(' ')).toBe(text)
    })

  it('get more bits the higher they are', () => {
    const rates = camera(1280, 720).map(e => e.maxBitrate!)
    expect(rates).toEqual([...rates].sort((a, b) => a - b))
    expect(rates[2]).toBe(1_600_000)
    expect(rates[0]).toBeGreaterThan(150_000)
    expect(screen().map(e => e.rid)).toEqual(['l', 'h'])
  })

  it('say a scalability mode where simulcast needs one', () => {
    for (const codec of ['VP9', 'AV1'] as const) expect(camera(1280, 720, codec).every(e => 'scalabilityMode' in e)).toBe(true)
    for (const codec of ['VP8', 'H264', undefined] as const) expect(camera(1280, 720, codec).some(e => 'scalabilityMode' in e)).toBe(false)
  })

  it('put the chosen codec first and keep the others', () => {
    const all = ['video/VP8', 'video/rtx', 'video/H264', 'video/AV1', 'video/H264'].map(mimeType => ({ mimeType }))
    expect(preferred(all, 'H264')?.map(c => c.mimeType)).toEqual(['video/H264', 'video/H264', 'video/VP8', 'video/rtx', 'video/AV1'])
    expect(preferred(all, undefined)).toBeUndefined()
    expect(preferred(all, 'VP9')).toBeUndefined()
  })

  it('fall silent when nobody watches, of several but never all', () => {
    const all = [{ rid: 'l', active: true }, { rid: 'm', active: true }, { rid: 'h', active: true }]
    const layers = (rids: string[]) => ['l', 'm', 'h'].map(rid => ({ rid, active: rids.includes(rid) }))
    const on = (rids: string[], from = all) => activate(from, layers(rids))?.map(e => e.active)
    expect(on(['l', 'm', 'h'])).toBeUndefined()
    expect(on(['l'])).toEqual([true, false, false])
    expect(on(['l', 'h'])).toEqual([true, false, true])
    expect(on([])).toEqual([true, false, false])
    expect(on(['l', 'm', 'h'], [{ rid: 'l', active: true }, { rid: 'm', active: false }, { rid: 'h', active: false }])).toEqual([true, true, true])
    expect(activate([{}], [{ rid: '', active: false }])).toEqual([{ active: false }])
    expect(activate([{ active: false }], [{ rid: '', active: false }])).toBeUndefined()
    expect(activate([{ active: false }], [{ rid: '', active: true }])).toEqual([{ active: true }])
    expect(activate([{ rid: 'l', active: false }], [])).toEqual([{ rid: 'l', active: true }]) // all, when nobody can tell
  })
})
