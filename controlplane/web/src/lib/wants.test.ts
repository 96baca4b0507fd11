// @vitest-environment node
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Refused } from './protocol'
import { rounded, shownHeight, Wants } from './wants'

describe('wants', () => {
  const asked: { type: string; tracks?: object[]; track?: string }[] = []
  let refuse: (f: object) => Error | undefined
  const wants = () => new Wants((async (type: string, fields: object) => {
    asked.push({ type, ...fields })
    const e = refuse(fields)
    if (e) throw e
  }) as never)
  beforeEach(() => { vi.useFakeTimers(); asked.length = 0; refuse = () => undefined })
  afterEach(() => { vi.useRealTimers() })
  const rest = () => vi.advanceTimersByTimeAsync(400)

  it('says what changed once the layout came to rest', async () => {
    const w = wants()
    w.received(['a', 'b'])
    for (let h = 10; h < 200; h += 10) w.set('a', h, 0)
    w.set('b', 700, 50)
    await rest()
    expect(asked).toEqual([{ type: 'quality', tracks: [{ track: 'a', height: 210, priority: 0 }, { track: 'b', height: 720, priority: 50 }] }])
    w.set('a', 205, 0)
    await rest()
    expect(asked).toHaveLength(1)
    w.set('a', 205, 50)
    await rest()
    expect(asked[1].tracks).toEqual([{ track: 'a', height: 210, priority: 50 }])
  })

  it('waits for a track that is not received yet, and says it again when it comes back', async () => {
    const w = wants()
    w.set('a', 100, 0)
    await rest()
    expect(asked).toEqual([])
    w.received(['a'])
    await rest()
    w.received([])
    w.received(['a'])
    await rest()
    expect(asked).toHaveLength(2)
  })

  it('goes on one by one when one of many ended, and later when the connection went', async () => {
    const w = wants()
    w.received(['a', 'b'])
    w.set('a', 100, 0)
    w.set('b', 100, 0)
    refuse = f => ('tracks' in f ? new Refused('not_found', 'no track') : undefined)
    await rest()
    expect(asked.map(a => a.track)).toEqual([undefined, 'a', 'b'])
    refuse = () => new Error('lost')
    w.set('a', 300, 0)
    await rest()
    refuse = () => undefined
    w.again()
    await rest()
    expect(asked.slice(-2).map(a => a.tracks)).toEqual([[{ track: 'a', height: 300, priority: 0 }], [{ track: 'a', height: 300, priority: 0 }]])
  })

  it('knows the height of a picture in a box', () => {
    expect(shownHeight({ width: 320, height: 100 }, 16 / 9, true)).toBe(180)
    expect(shownHeight({ width: 320, height: 100 }, 16 / 9, false)).toBe(100)
    expect(shownHeight({ width: 160, height: 360 }, 0, true, 2)).toBe(720)
    expect([1, 30, 31, 1e9].map(rounded)).toEqual([30, 30, 60, 65535])
  })
})
