/** Goes round the three choices of the theme, and says which it is. */
import { Icon } from './Icon.tsx'
import type { Theme } from './theme.ts'

const FACE = {
  auto: { icon: 'auto', words: 'Theme: as the system' },
  light: { icon: 'sun', words: 'Theme: light' },
  dark: { icon: 'moon', words: 'Theme: dark' },
} as const

export function ThemeButton({ theme }: { theme: Theme }) {
  const { icon, words } = FACE[theme.choice.value]
  return (
    <button type="button" class="icon-button plain" aria-label={words} title={words} onClick={theme.next}>
      <Icon name={icon} />
    </button>
  )
}
