/** Light or dark: as the system says, unless the viewer chose. Kept in this browser. */
import { computed, effect, signal } from '@preact/signals'

export type ThemeChoice = 'auto' | 'light' | 'dark'

const KEY = 'alzy.theme'
const CHOICES: readonly ThemeChoice[] = ['auto', 'light', 'dark']

export type Theme = ReturnType<typeof createTheme>

export function createTheme() {
  const media = matchMedia('(prefers-color-scheme: dark)')
  const stored = localStorage.getItem(KEY) as ThemeChoice | null
  const choice = signal<ThemeChoice>(stored !== null && CHOICES.includes(stored) ? stored : 'auto')
  const systemIsDark = signal(media.matches)
  const isDark = computed(() => (choice.value === 'auto' ? systemIsDark.value : choice.value === 'dark'))
  media.addEventListener('change', () => {
    systemIsDark.value = media.matches
  })
  effect(() => {
    if (choice.value === 'auto') delete document.documentElement.dataset.theme
    else document.documentElement.dataset.theme = choice.value
  })
  return { choice, isDark, next }

  function next(): void {
    choice.value = CHOICES[(CHOICES.indexOf(choice.value) + 1) % CHOICES.length]!
    localStorage.setItem(KEY, choice.value)
  }
}
