import { Component, ReactNode } from 'react'

/** What is left when drawing the page failed: media go on, and loading it again takes the session up. */
export class Broken extends Component<{ children: ReactNode }, { error?: Error }> {
  state: { error?: Error } = {}
  static getDerivedStateFromError(error: Error) { return { error } }
  render() {
    if (!this.state.error) return this.props.children
    return (
      <main className="grid min-h-dvh place-items-center p-4 text-center">
        <div role="alert">
          <h1 className="mb-2 text-xl font-semibold">This page has a fault</h1>
          <p className="mb-4 text-slate-300">{this.state.error.message}</p>
          <button type="button" className="button button-primary" onClick={() => location.reload()}>Load it again</button>
        </div>
      </main>
    )
  }
}
