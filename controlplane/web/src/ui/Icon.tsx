// Line icons, drawn on a 24 by 24 grid.
const PATHS = {
  mic: 'M12 3a3 3 0 0 0-3 3v6a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3ZM5 11v1a7 7 0 0 0 14 0v-1M12 19v3',
  micOff: 'M15 9.5V6a3 3 0 0 0-5.8-1M9 9v3a3 3 0 0 0 4.6 2.5M5 11v1a7 7 0 0 0 10.8 5.9M19 11v1c0 .8-.1 1.5-.4 2.2M12 19v3M3 3l18 18',
  camera: 'M3 7a1 1 0 0 1 1-1h10a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1ZM15 11l6-4v10l-6-4',
  cameraOff: 'M7 6h7a1 1 0 0 1 1 1v7M15 11l6-4v10l-3-2M14 18H4a1 1 0 0 1-1-1V7a1 1 0 0 1 .5-.9M3 3l18 18',
  screen: 'M3 5h18v12H3ZM8 21h8M12 17v4M12 14V8M9 10.5 12 8l3 2.5',
  screenOff: 'M3 5h18v12H3ZM8 21h8M12 17v4M9.5 8.5l5 5M14.5 8.5l-5 5',
  chat: 'M4 5h16v11H10l-5 4v-4H4Z',
  stats: 'M5 20v-7M12 20V4M19 20V9',
  devices: 'M4 7h9M17 7h3M15 5v4M4 17h3M11 17h9M9 15v4',
  phone: 'M6 3h3l2 5-2.5 1.5a12 12 0 0 0 6 6L16 13l5 2v3a3 3 0 0 1-3 3A15 15 0 0 1 3 6a3 3 0 0 1 3-3Z',
  pin: 'M9 3h6l-1 6 4 4H6l4-4ZM12 13v8',
  leave: 'M3 13c5-5.3 13-5.3 18 0l-2 3-4-1.500V12c-2-.7-4-.7-6 0v2.500L5 16Z',
} as const
export type IconName = keyof typeof PATHS

export function Icon({ name, className = 'h-5 w-5' }: { name: IconName; className?: string }) {
  return (
    <svg viewBox="0 0 24 24" className={`${className} shrink-0`} fill="none" stroke="currentColor" strokeWidth="1.8" strokeLinecap="round"
      strokeLinejoin="round" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  )
}
