/** `npm run test:watch`: the quick tests, or those whose paths are given, whatever they need. */
import quick from './quick.config.ts'
import usual from './vitest.config.ts'

export default process.argv.some((word) => word.startsWith('test/') && !word.endsWith('.config.ts'))
  ? usual
  : quick
