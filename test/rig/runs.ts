/** How often tests try what they choose at random: the quick ones to see that it works at all. */

const IS_QUICK = process.env.TEST_QUICK === '1'

/** So many times, or when only the quick tests run, a tenth of that or as many as are given for it. */
export function runs(whole: number, quick = Math.ceil(whole / 10)): number {
  return IS_QUICK ? quick : whole
}
