/** The icons of the pages, drawn on a 20 × 20 grid in the colour of the text. Always beside or behind words. */

const PATHS = {
  add: 'M10 4v12M4 10h12',
  chart: 'M4 16V9m4 7V4m4 12v-5m4 5V7',
  close: 'M5 5l10 10M15 5L5 15',
  copy: 'M7 7V4h9v9h-3M4 7h9v9H4z',
  down: 'M10 3v10m-4-4 4 4 4-4M4 17h12',
  edit: 'M4 16l.8-3.2L13 4.6l2.4 2.4-8.2 8.2z',
  fit: 'M4 8V4h4M16 8V4h-4M4 12v4h4M16 12v4h-4',
  follow: 'M10 2.5v3M10 14.5v3M2.5 10h3M14.5 10h3M10 6.2a3.8 3.8 0 100 7.6 3.8 3.8 0 000-7.6z',
  history: 'M3.5 10a6.5 6.5 0 106.5-6.5A6.5 6.5 0 004.4 6.7M4 3.5v3.4h3.4M10 6.5V10l2.6 1.6',
  less: 'M5 8l5 5 5-5',
  link: 'M8.5 11.5l3-3M9 6l1.6-1.6a3.2 3.2 0 014.6 4.6L13.6 10.6M11 14l-1.6 1.6a3.2 3.2 0 01-4.6-4.6L6.4 9.4',
  list: 'M4 5.5h12M4 10h12M4 14.5h12',
  moon: 'M15.8 12.2A6.5 6.5 0 017.8 4.2a6.5 6.5 0 108 8z',
  pause: 'M7 4.5v11M13 4.5v11',
  phone: 'M6.5 2.5h7v15h-7zM9 15h2',
  play: 'M6.5 4.2v11.6l9-5.8z',
  search: 'M9 4a5 5 0 100 10A5 5 0 009 4zm3.6 8.6L17 17',
  share: 'M10 12V3m-3.2 3L10 2.8 13.2 6M5 9H4v8h12V9h-1',
  signOut: 'M8 3H4v14h4M9 10h8m-3-3 3 3-3 3',
  sun: 'M10 6.4a3.6 3.6 0 100 7.2 3.6 3.6 0 000-7.2zM10 2v1.6M10 16.4V18M2 10h1.6M16.4 10H18M4.3 4.3l1.2 1.2M14.5 14.5l1.2 1.2M4.3 15.7l1.2-1.2M14.5 5.5l1.2-1.2',
  auto: 'M10 3a7 7 0 100 14 7 7 0 000-14zM10 3v14M10 6l4.5-1M10 10h7M10 14l4.5 1',
  stop: 'M5 5h10v10H5z',
  trash: 'M4 6h12M8 6V4h4v2M6 6l.7 10.5h6.6L14 6',
  users:
    'M7.5 9.5a2.8 2.8 0 100-5.6 2.8 2.8 0 000 5.6zM2.5 16.5c.3-3 2.3-4.6 5-4.6s4.700 1.600 5 4.600M12.500 4.200a2.800 2.800 0 010 5.200M14.500 12.300c1.800.6 2.800 2.100 3 4.200',
} as const

export type IconName = keyof typeof PATHS

export function Icon({ name, size = 18 }: { name: IconName; size?: number }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 20 20"
      fill="none"
      stroke="currentColor"
      stroke-width="1.7"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
    >
      <path d={PATHS[name]} />
    </svg>
  )
}

export function Brand({ href = '/' }: { href?: string }) {
  return (
    <a class="brand" href={href}>
      <svg viewBox="0 0 512 512" aria-hidden="true">
        <rect width="512" height="512" rx="116" fill="var(--accent)" />
        <path
          d="M256 84c62 62 124 124 124 186a124 124 0 1 1-248 0c0-62 62-124 124-186z"
          transform="rotate(38 256 256)"
          fill="var(--panel)"
        />
        <circle cx="247" cy="267" r="52" fill="var(--accent)" />
      </svg>
      alzy
    </a>
  )
}
