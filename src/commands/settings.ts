/** What `alzy serve --help` says of settings and limits, as text for a terminal. It knows none of them by name. */
import { settingTable } from '../config.ts'
import { limitTable, type Row } from '../limits.ts'

const COLUMNS = 100
const INDENT = ' '.repeat(6)

const SETTINGS = 'Settings are environment variables, each with its default.'
const LIMITS =
  'Limits are whole numbers, in the unit that the name ends with, each with its default and its range. Of what happens \
when one is met, three digits are a status of HTTP and four the code that a socket is closed with.'

export function settingsHelp(): string {
  const limits = limitTable().flatMap(({ title, rows }) => ['', title, ...rows.flatMap(linesOf)])
  return [wrapped(SETTINGS), ...settingTable().flatMap(linesOf), '', wrapped(LIMITS), ...limits].join('\n')
}

function linesOf({ variable, value, range, meaning }: Row): string[] {
  const head = `  ${variable.padEnd(37)}${value.padEnd(20)}${range}`
  return [head.trimEnd(), wrapped(meaning, INDENT)]
}

/** On lines of so many columns, each behind `indent`. A word is never broken. */
function wrapped(text: string, indent = ''): string {
  const lines = ['']
  for (const word of text.split(' ')) {
    const line = lines.at(-1)!
    if (line !== '' && indent.length + line.length + 1 + word.length > COLUMNS) lines.push(word)
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`
  }
  return lines.map((line) => indent + line).join('\n')
}
