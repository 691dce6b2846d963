/** A table that may be wider than the screen, to be scrolled with the keyboard too. */
import type { ComponentChildren } from 'preact'

export function Scroller({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to take the focus
    <section class="table-wrap" tabIndex={0} aria-label={label}>
      <table>{children}</table>
    </section>
  )
}
