// How large each received picture is shown, said to the server so that it sends no more than that: after the layout came to
// rest, what changed, all in one request.
import type { Ask } from './media'
import { Refused } from './protocol'

export interface Want { height: number; priority: number }
const REST_MS = 300
// A few pixels more or less are no other layer.
const STEP = 30

export const rounded = (height: number) => Math.min(65535, Math.max(STEP, Math.ceil(height / STEP) * STEP))

/** Height in device pixels of a picture of that aspect in a box, which it covers or fits into. */
export function shownHeight(box: { width: number; height: number }, aspect: number, cover: boolean, ratio = 1) {
  const by = box.width / (aspect > 0 ? aspect : 16 / 9)
  return (cover ? Math.max(box.height, by) : Math.min(box.height, by)) * ratio
}

export class Wants {
  private wanted = new Map<string, Want>()
  private said = new Map<string, Want>()
  private now = new Set<string>()
  private timer?: ReturnType<typeof setTimeout>

  constructor(private ask: Ask) {}

  set(track: string, height: number, priority: number) {
    this.wanted.set(track, { height: rounded(height), priority })
    this.later()
  }

  /** That picture is not shown any more. */
  drop(track: string) { this.wanted.delete(track) }

  /** What we are sent now: the server knows nothing yet of what is new, and nothing any more of what is gone. */
  received(tracks: string[]) {
    for (const track of this.said.keys()) if (!tracks.includes(track)) this.said.delete(track)
    this.now = new Set(tracks)
    this.later()
  }
  private later() {
    clearTimeout(this.timer)
    this.timer = setTimeout(() => void this.say(), REST_MS)
  }

  private async say() {
    const news = [...this.wanted].filter(([track, w]) => {
      const was = this.said.get(track)
      return this.now.has(track) && (was?.height !== w.height || was.priority !== w.priority)
    })
    if (!news.length) return
    for (const [track, w] of news) this.said.set(track, w)
    try {
      await this.ask('quality', { tracks: news.map(([track, w]) => ({ track, ...w })) })
    } catch (e) {
      // One of them ended meanwhile: the others one by one. Without a connection: when it is back, see again().
      for (const [track, w] of news)
        if (e instanceof Refused) await this.ask('quality', { track, ...w }).catch(() => undefined)
        else this.said.delete(track)
    }
  }

  /** Signaling is back. */
  again() { this.later() }

  close() { clearTimeout(this.timer); this.wanted.clear(); this.said.clear() }
}
