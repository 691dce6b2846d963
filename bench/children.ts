/**
 * Processes of a benchmark: what makes load and what counts gets a process of its own, so that it takes no time
 * from what is measured. A child serves named tasks, one message each way; what the tasks are, it does not know.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

type Tasks = Record<string, (input: never) => Promise<unknown>>
type Call = { id: number; task: string; input: unknown }
type Answer = { id: number; value?: unknown; fault?: string }

export interface Child<T extends Tasks> {
  pid: number
  /** Rejects when the task does, or when the child ends before it has answered. */
  ask: <Name extends keyof T & string>(
    task: Name,
    input: Parameters<T[Name]>[0],
  ) => Promise<Awaited<ReturnType<T[Name]>>>
  end: () => Promise<void>
}

/** Starts the module of that path below bench/, without an ending; `T` is the type of what it gave to `serveTasks`. */
export function openChild<T extends Tasks>(name: string, nodeFlags: readonly string[] = []): Child<T> {
  const waiting = new Map<number, { resolve: (value: never) => void; reject: (fault: Error) => void }>()
  let calls = 0
  // stdout belongs to the result line.
  const child = fork(fileURLToPath(new URL(`./${name}.js`, import.meta.url)), {
    execArgv: [...nodeFlags],
    stdio: ['ignore', 2, 2, 'ipc'],
  })
  const ended = once(child, 'exit')
  child.on('message', ({ id, value, fault }: Answer) => {
    const call = waiting.get(id)
    waiting.delete(id)
    if (fault === undefined) call?.resolve(value as never)
    else call?.reject(new Error(`${name}: ${fault}`))
  })
  child.once('exit', (code, signal) => {
    for (const { reject } of waiting.values()) reject(new Error(`${name} has ended (${signal ?? code})`))
  })
  return { pid: child.pid!, ask, end }

  function ask(task: string, input: unknown): Promise<never> {
    return new Promise((resolve, reject) => {
      calls += 1
      waiting.set(calls, { resolve, reject })
      child.send({ id: calls, task, input } satisfies Call)
    })
  }

  async function end(): Promise<void> {
    if (child.connected) child.disconnect()
    await ended
  }
}

/** In the child: serves `tasks` until the parent is gone. */
export function serveTasks(tasks: Tasks): void {
  process.on('message', ({ id, task, input }: Call) => {
    tasks[task]!(input as never).then(
      (value) => process.send!({ id, value } satisfies Answer),
      (fault: Error) => process.send!({ id, fault: fault.stack ?? fault.message } satisfies Answer),
    )
  })
  process.once('disconnect', () => process.exit())
}
