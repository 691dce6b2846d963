/**
 * The pages of the repository as text: their links, their headings and their code, and which files there are for them to
 * name. What should be true of them it does not know.
 */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { ROOT } from '../rig/dist.ts'

const NOT_OURS = ['node_modules', 'dist', '.git', '.alzy']

/** Every file and, with a slash behind it, every folder, as seen from the root. */
export const FILES: ReadonlySet<string> = new Set(walk(''))

export interface Page {
  /** As seen from the root. */
  name: string
  text: string
  links: readonly string[]
  /** What a link may name behind `#`. */
  anchors: ReadonlySet<string>
  code: readonly Code[]
}

export interface Code {
  /** Of a fenced block, what stands behind the fence; null: it stands in a sentence. */
  language: string | null
  text: string
}

export function readPages(): Page[] {
  return [...FILES].filter((name) => name.endsWith('.md')).map(readPage)
}

export function readPage(name: string): Page {
  const text = readFileSync(path.join(ROOT, name), 'utf8')
  const blocks: Code[] = []
  const prose = text.replace(/^( *)```(\w*)\n([\s\S]*?)^\1```$/gm, (_, _indent, language, block) => {
    blocks.push({ language, text: block })
    return ''
  })
  const spans: Code[] = []
  const plain = prose.replace(/`([^`]+)`/g, (_, span: string) => {
    spans.push({ language: null, text: span.replace(/\s+/g, ' ') })
    return ''
  })
  const links = [...plain.matchAll(/\]\(([^()\s]+)\)/g)].map(([, link]) => link!)
  return { name, text, links, anchors: anchorsOf(prose), code: [...blocks, ...spans] }
}

/** Where a path that stands on a page leads to: from the page's own folder, or from the root. */
export function isFile(page: string, named: string): boolean {
  return [path.dirname(page), ''].some((folder) => {
    const wanted = path.join(folder, named)
    if (!wanted.includes('*')) return FILES.has(wanted) || FILES.has(`${wanted}/`)
    const pattern = new RegExp(`^${wanted.replaceAll('.', '\\.').replaceAll('*', '[^/]*')}$`)
    return [...FILES].some((name) => pattern.test(name))
  })
}

function walk(folder: string): string[] {
  const entries = readdirSync(path.join(ROOT, folder), { withFileTypes: true })
  return entries.flatMap((entry) => {
    if (NOT_OURS.includes(entry.name)) return []
    const name = path.join(folder, entry.name)
    return entry.isDirectory() ? [`${name}/`, ...walk(name)] : [name]
  })
}

/** Headings as GitHub names them. */
function anchorsOf(prose: string): Set<string> {
  const headings = [...prose.matchAll(/^#{1,6} +(.+)$/gm)].map(([, heading]) => heading!)
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  )
}
