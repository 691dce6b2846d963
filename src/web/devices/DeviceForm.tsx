/** Name and colour of a device. */
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { DEVICE_COLORS, type DeviceColor } from '../../client/browser.ts'
import { colorOf } from '../look/colors.ts'

const NAME_CHARS_MAX = 200

export interface DeviceFields {
  name: string
  color: DeviceColor
}

export function DeviceForm({
  initial,
  isDark,
  isBusy,
  problem,
  words,
  onSubmit,
  children,
}: {
  initial: DeviceFields
  isDark: boolean
  isBusy: boolean
  problem: string | null
  words: string
  onSubmit: (fields: DeviceFields) => void
  /** What is asked before these. */
  children?: ComponentChildren
}) {
  const [name, setName] = useState(initial.name)
  const [color, setColor] = useState(initial.color)
  return (
    <form
      class="stack"
      onSubmit={(event) => {
        event.preventDefault()
        onSubmit({ name: name.trim(), color })
      }}
    >
      {children}
      <label class="field">
        <span>Name</span>
        <input
          required
          maxLength={NAME_CHARS_MAX}
          placeholder="My phone"
          value={name}
          onInput={(event) => setName(event.currentTarget.value)}
        />
      </label>
      <fieldset class="swatches">
        <legend class="legend">Colour on the map</legend>
        {DEVICE_COLORS.map((one) => (
          <label key={one} title={one}>
            <input type="radio" name="color" checked={one === color} onChange={() => setColor(one)} />
            <span class="swatch" style={{ background: colorOf(one, isDark) }} />
            <span class="hidden-text">{one}</span>
          </label>
        ))}
      </fieldset>
      {problem !== null && (
        <p class="notice bad" role="alert">
          {problem}
        </p>
      )}
      <button type="submit" class="button main" disabled={isBusy || name.trim() === ''}>
        {words}
      </button>
    </form>
  )
}
