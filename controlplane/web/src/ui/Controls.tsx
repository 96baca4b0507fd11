import { useEffect } from 'react'
import { canShare } from '../lib/devices'
import { act, attempt, leave, shown, toggleCamera, toggleMicrophone, toggleMute, toggleScreen } from '../lib/session'
import { set, useStore } from '../lib/store'
import { Icon, IconName } from './Icon'

interface Toggle { label: string; short: string; icon: IconName; on?: boolean; key: string; act: () => void; badge?: number; opens?: 'panel' | 'dialog'; sends?: boolean }

function Button({ t, disabled }: { t: Toggle; disabled?: boolean }) {
  return (
    <button type="button" className={`control relative ${t.on ? 'bg-teal-800 hover:bg-teal-700' : ''}`} disabled={disabled}
      aria-keyshortcuts={t.key} aria-expanded={t.opens === 'panel' ? t.on : undefined} aria-haspopup={t.opens === 'dialog' ? 'dialog' : undefined}
      aria-label={t.label} title={`${t.label} (${t.key})`} onClick={t.act}>
      <Icon name={t.icon} />
      <span aria-hidden="true" className="text-xs">{t.short}</span>
      {!!t.badge && <span className="absolute right-1 top-0 rounded-full bg-red-600 px-1.5 text-xs">{t.badge}<span className="sr-only"> unread</span></span>}
    </button>
  )
}

export function Controls() {
  const { own, muted, busy, chatOpen, statsOpen, unread } = useStore()
  const talking = !!own.microphone && !muted
  const toggles: Toggle[] = [
    { label: talking ? 'Mute' : 'Unmute', short: talking ? 'Mute' : 'Unmute', icon: talking ? 'mic' : 'micOff', on: talking, key: 'm', sends: !own.microphone, act: () => void (own.microphone ? shown(toggleMute) : act(toggleMicrophone)) },
    { label: own.camera ? 'Camera off' : 'Camera on', short: 'Camera', icon: own.camera ? 'camera' : 'cameraOff', on: !!own.camera, key: 'v', sends: true, act: () => void act(toggleCamera) },
    ...(canShare() ? [{ label: own.screen ? 'Stop sharing' : 'Share screen', short: own.screen ? 'Stop' : 'Share', icon: own.screen ? 'screenOff' as const : 'screen' as const, on: !!own.screen, key: 's', sends: true, act: () => void act(toggleScreen) }] : []),
    { label: unread ? `Chat, ${unread} unread` : 'Chat', short: 'Chat', icon: 'chat', on: chatOpen, key: 'c', opens: 'panel', badge: unread, act: () => set({ chatOpen: !chatOpen, unread: 0, statsOpen: false }) },
    { label: 'Statistics', short: 'Stats', icon: 'stats', on: statsOpen, key: 'i', opens: 'panel', act: () => set({ statsOpen: !statsOpen, chatOpen: false }) },
    { label: 'Devices', short: 'Devices', icon: 'devices', key: 'd', opens: 'dialog', act: () => set({ settingsOpen: true }) },
  ]
  useEffect(() => {
    const press = (e: KeyboardEvent) => {
      const elsewhere = e.target instanceof HTMLElement && e.target.closest('input, textarea, select, dialog')
      if (elsewhere || e.repeat || e.ctrlKey || e.metaKey || e.altKey || document.querySelector('dialog[open]')) return
      const t = toggles.find(o => o.key === e.key.toLowerCase())
      if (!t) return
      e.preventDefault() // the letter would land in the chat that it opens
      t.act()
    }
    window.addEventListener('keydown', press)
    return () => window.removeEventListener('keydown', press)
  })
  return (
    <nav aria-label="Call controls" className="flex items-stretch justify-center gap-1 p-2 sm:gap-2 sm:p-3">
      {toggles.map(t => <Button key={t.key} t={t} disabled={busy && t.sends} />)}
      <button type="button" className="control bg-red-700 hover:bg-red-600" title="Leave" aria-label="Leave" onClick={() => void attempt(leave)}>
        <Icon name="leave" />
        <span aria-hidden="true" className="text-xs">Leave</span>
      </button>
    </nav>
  )
}
