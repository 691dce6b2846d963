/** The databases of the run outside, for the tests in the copy. */
import type { TestProject } from 'vitest/node'

export function setup(project: TestProject): void {
  const { MUTANTS_POSTGRES, MUTANTS_TEMPLATE } = process.env
  project.provide('postgres', JSON.parse(MUTANTS_POSTGRES!))
  project.provide('embeddedTemplate', MUTANTS_TEMPLATE!)
}
