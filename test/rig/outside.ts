/** The environment for a program that must not take itself for a part of a run of vitest: it would act otherwise. */
export function outsideOf(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !/^(VITEST|NODE_ENV|TEST$)/.test(name)))
}
