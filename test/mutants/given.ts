/** What the run outside has started, for the tests in the copy: they ask there. */
import type { TestProject } from 'vitest/node'

export function setup(project: TestProject): void {
  project.provide('gear', JSON.parse(process.env.MUTANTS_GEAR!))
}
