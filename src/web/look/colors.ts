/** The colours of devices, as they are drawn on light and on dark ground. */
import type { DeviceColor } from '../../client/browser.ts'

/** Each has at least 3:1 against the land and the water of its theme. */
const LIGHT: Readonly<Record<DeviceColor, string>> = {
  blue: '#1d63d8',
  green: '#17803d',
  red: '#d1352c',
  yellow: '#a07400',
  purple: '#7d42d6',
  orange: '#c75c00',
  pink: '#cf3488',
  gray: '#5d6b76',
}
const DARK: Readonly<Record<DeviceColor, string>> = {
  blue: '#6ea8ff',
  green: '#4fcb7f',
  red: '#ff7b6f',
  yellow: '#f2cb4c',
  purple: '#b392ff',
  orange: '#ff9f4d',
  pink: '#ff84bd',
  gray: '#a9b8c2',
}

export function colorOf(name: DeviceColor, isDark: boolean): string {
  return (isDark ? DARK : LIGHT)[name] ?? (isDark ? DARK : LIGHT).gray
}

/** `#rrggbb` as three bytes. */
export function bytesOf(hex: string): [number, number, number] {
  const value = Number.parseInt(hex.slice(1), 16)
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255]
}
