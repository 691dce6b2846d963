/** Where things lie, seen from the compiled benchmarks in dist/bench/bench. */
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
/** The hub as it is shipped; the benchmarks never run a hub of their own compilation. */
export const HUB_MAIN = fileURLToPath(new URL('../../main.js', import.meta.url))
export const RESULTS_DIRECTORY = fileURLToPath(new URL('../../../bench/results/', import.meta.url))
export const RESULTS_PAGE = fileURLToPath(new URL('../../../bench/RESULTS.md', import.meta.url))
export const PLOTS_DIRECTORY = fileURLToPath(new URL('../../../bench/plots/', import.meta.url))
