import { useEffect } from 'react'
import { attempt, leave, toggleCamera, toggleMicrophone, toggleScreen } from '../lib/session'
import { set, useStore } from '../lib/store'

interface Toggle { label: string; on: boolean; key: string; act: () => void; badge?: number }

function Button({ t, disabled }: { t: Toggle; disabled?: boolean }) {
  return (
    <button type="button" className={`button relative ${t.on ? 'button-primary' : ''}`} aria-pressed={t.on} disabled={disabled}
      aria-keyshortcuts={t.key} title={`${t.label} (${t.key})`} onClick={t.act}>
      {t.label}
      {!!t.badge && <span className="absolute -right-1 -top-1 rounded-full bg-red-600 px-1.5 text-xs" aria-label={`${t.badge} unread`}>{t.badge}</span>}
    </button>
  )
}

export function Controls() {
  const { own, muted, busy, chatOpen, statsOpen, unread } = useStore()
  const toggles: Toggle[] = [
    { label: own.microphone && !muted ? 'Mute' : 'Unmute', on: !!own.microphone && !muted, key: 'm', act: () => void attempt(toggleMicrophone) },
    { label: own.camera ? 'Camera off' : 'Camera on', on: !!own.camera, key: 'v', act: () => void attempt(toggleCamera) },
    { label: own.screen ? 'Stop sharing' : 'Share screen', on: !!own.screen, key: 's', act: () => void attempt(toggleScreen) },
    { label: 'Chat', on: chatOpen, key: 'c', badge: unread, act: () => set({ chatOpen: !chatOpen, unread: 0, statsOpen: false }) },
    { label: 'Statistics', on: statsOpen, key: 'i', act: () => set({ statsOpen: !statsOpen, chatOpen: false }) },
    { label: 'Devices', on: false, key: 'd', act: () => set({ settingsOpen: true }) },
  ]
  useEffect(() => {
    const press = (e: KeyboardEvent) => {
      const typing = e.target instanceof HTMLElement && e.target.closest('input, textarea, select, dialog')
      if (typing || e.ctrlKey || e.metaKey || e.altKey) return
      toggles.find(t => t.key === e.key.toLowerCase())?.act()
    }
    window.addEventListener('keydown', press)
    return () => window.removeEventListener('keydown', press)
  })
  return (
    <nav aria-label="Call controls" className="flex flex-wrap items-center justify-center gap-2 p-3">
      {toggles.map(t => <Button key={t.key} t={t} disabled={busy && 'mvs'.includes(t.key)} />)}
      <button type="button" className="button button-danger" onClick={() => void attempt(leave)}>Leave</button>
    </nav>
  )
}
