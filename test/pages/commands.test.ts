/** Every command line of alzy on a page is one that it takes: the command, its arguments and its options. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { built } from '../rig/gear.ts'
import { readPages } from './pages.ts'

const run = promisify(execFile)
const found = readPages().flatMap(({ name, code }) =>
  code.flatMap(({ text }) => commandsIn(text).map((words) => [name, words.join(' '), words] as const)),
)
const helps = new Map<string, Promise<string>>()

test('there are some', () => {
  expect(found.length).toBeGreaterThan(10)
  expect(commandsIn('npx alzy watch --token "$(npx alzy token a@example.org)" & # alzy')).toEqual([
    ['watch', '--token', 'x'],
    ['token', 'a@example.org'],
  ])
  expect(
    commandsIn('docker run --name alzy alzy; docker exec alzy alzy user list\ncreatedb alzy alzy2'),
  ).toEqual([['user', 'list']])
})

test.each(found)('%s: alzy %s', async (_page, _line, words) => {
  // A command that is not there is answered with the help of alzy itself, or of the command above.
  const isTwo = ['user', 'device'].includes(words[0]!)
  const name = words.slice(0, isTwo ? 2 : 1)
  const help = await helpOf(name)
  const usage = /^Usage: alzy (.*)$/m.exec(help)![1]!
  expect(usage.split(' ').slice(0, name.length)).toEqual(name)
  let argumentCount = 0
  for (let i = name.length; i < words.length; i += 1) {
    const word = words[i]!
    if (!word.startsWith('-')) {
      argumentCount += 1
      continue
    }
    const option = help.split('\n').find((line) => line.split(/[ ,]+/).includes(word))
    expect(option, `${word} in the help of alzy ${name.join(' ')}`).toBeDefined()
    // Its value is no argument of the command.
    if (option!.includes(`${word} <`)) i += 1
  }
  // A page may speak of a command without its arguments.
  if (argumentCount === 0) return
  const wanted = usage.match(/<[^>]+>/g) ?? []
  const isOpen = wanted.at(-1)?.endsWith('...>')
  expect(isOpen ? Math.min(argumentCount, wanted.length) : argumentCount).toBe(wanted.length)
})

function helpOf(name: readonly string[]): Promise<string> {
  const key = name.join(' ')
  const asked = helps.get(key) ?? askForHelp(name)
  helps.set(key, asked)
  return asked
}

async function askForHelp(name: readonly string[]): Promise<string> {
  return (await run(process.execPath, [await built('main.js'), ...name, '--help'])).stdout
}

/** The words behind each `alzy` of some shell code; what the shell puts in place of something else is `x`. */
function commandsIn(code: string): string[][] {
  const commands: string[][] = []
  for (const { index, 0: all } of code.matchAll(/(?:^|\bnpx|\bexec alzy|[|&;(]) *alzy +(?=[a-z])/gm)) {
    commands.push(wordsOf(code.slice(index + all.length)))
  }
  return commands
}

/** As far as the command goes. */
function wordsOf(rest: string): string[] {
  const [line] = inPlace(rest).split(/[\n&|;)`"#]/)
  return line!
    .replace(/\[[^\]]*\]/g, '')
    .trim()
    .split(/ +/)
}

/** With `x` for each `$(…)`, `"…"` and `$name`, from the inside out. */
function inPlace(text: string): string {
  const next = text
    .replace(/\\\n/g, ' ')
    .replace(/\$\([^()]*\)|\$\w+/g, 'x')
    .replace(/"x"/g, 'x')
  return next === text ? text : inPlace(next)
}
