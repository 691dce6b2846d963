/** How the pages are built: three documents, hashed assets, and beside each a compressed form for the hub to serve. */
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import { defineConfig, type Plugin } from 'vite'

const HERE = fileURLToPath(new URL('.', import.meta.url))
const OUT = fileURLToPath(new URL('../../dist/web/', import.meta.url))
/** Below it the headers weigh more than what is saved. */
const COMPRESSED_BYTES_MIN = 1_024
/** Beyond it the best compression takes seconds for a few percent. */
const BEST_BYTES_MAX = 400 * 1_024

export default defineConfig({
  root: HERE,
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: OUT,
    emptyOutDir: true,
    target: ['chrome123', 'firefox121', 'safari17.5'],
    // Data URLs would need a wider policy.
    assetsInlineLimit: 0,
    // One chunk of the pages never grows so large; the map library is what it is.
    chunkSizeWarningLimit: 1_500,
    license: { fileName: 'licenses.md' },
    reportCompressedSize: false,
    rolldownOptions: {
      input: {
        index: path.join(HERE, 'index.html'),
        track: path.join(HERE, 'track.html'),
        admin: path.join(HERE, 'admin.html'),
        'track-worker': path.join(HERE, 'track/worker.ts'),
      },
      checks: { pluginTimings: false },
      output: {
        // A service worker is found by its name, and its place says what it may answer.
        entryFileNames: ({ name }) => (name === 'track-worker' ? '[name].js' : 'assets/[name]-[hash].js'),
      },
    },
  },
  worker: { format: 'es' },
  plugins: [compress()],
})

function compress(): Plugin {
  return {
    name: 'compress',
    apply: 'build',
    writeBundle: async (_options, bundle) => {
      const names = Object.keys(bundle).filter((name) => /\.(js|css|html|json|svg)$/.test(name))
      await Promise.all(names.map((name) => writeCompressed(path.join(OUT, name))))
    },
  }
}

async function writeCompressed(file: string): Promise<void> {
  const bytes = await readFile(file)
  if (bytes.length < COMPRESSED_BYTES_MIN) return
  const isLarge = bytes.length > BEST_BYTES_MAX
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: isLarge ? 7 : 11,
    [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
  }
  const [br, gz] = await Promise.all([
    promisify(brotliCompress)(bytes, { params }),
    promisify(gzip)(bytes, { level: isLarge ? 6 : 9 }),
  ])
  await Promise.all([writeFile(`${file}.br`, br), writeFile(`${file}.gz`, gz)])
}
