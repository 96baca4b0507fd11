// The ring tone, made on the spot: 440 + 480 Hz, one second in three (rings) or 425 Hz, one in four (heard by the caller).
export class Ringer {
  private stopper?: () => void

  start(kind: 'incoming' | 'outgoing') {
    this.stop()
    const context = new AudioContext()
    const gain = new GainNode(context, { gain: 0 })
    gain.connect(context.destination)
    for (const hz of kind === 'incoming' ? [440, 480] : [425]) {
      const tone = new OscillatorNode(context, { frequency: hz })
      tone.connect(gain)
      tone.start()
    }
    const period = kind === 'incoming' ? 3 : 4
    const ring = () => {
      gain.gain.setValueAtTime(kind === 'incoming' ? 0.12 : 0.05, context.currentTime)
      gain.gain.setValueAtTime(0, context.currentTime + 1)
    }
    ring()
    const timer = setInterval(ring, period * 1000)
    this.stopper = () => { clearInterval(timer); void context.close() }
  }

  stop() {
    this.stopper?.()
    this.stopper = undefined
  }
}
