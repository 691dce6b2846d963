/** Runs a file of this folder as it stands: Vite takes the types off, so that nothing has to be built before it. */
import { fileURLToPath } from 'node:url'
import { runnerImport } from 'vite'

const [, , name] = process.argv
await runnerImport(fileURLToPath(new URL(`${name}.ts`, import.meta.url)), { configFile: false, logLevel: 'warn' })
