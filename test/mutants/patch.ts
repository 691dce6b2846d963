/** Puts a mutant into a copy of the tree and takes it out again. */
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Mutant } from './mutants.ts'

/** The mutated text of the file. Throws when the mutant does not fit: the code has moved on, so must the mutant. */
export function mutated(text: string, { file, breaks, search, replace, also }: Mutant): string {
  return [{ search, replace }, ...(also === undefined ? [] : [also])].reduce((changed, edit) => {
    const parts = changed.split(edit.search)
    if (parts.length !== 2) {
      throw new Error(
        `"${breaks}": ${file} has ${parts.length - 1} times what is to be replaced: ${edit.search}`,
      )
    }
    return parts.join(edit.replace)
  }, text)
}

/** Returns what takes it out again. */
export function plant(root: string, mutant: Mutant): () => void {
  const file = path.join(root, 'src', mutant.file)
  const text = readFileSync(file, 'utf8')
  writeFileSync(file, mutated(text, mutant))
  return () => writeFileSync(file, text)
}
