/**
 * What no hub may ever write down, whatever a test does with it. The rig looks at each line that a hub of any test
 * writes, so the whole suite is the scan. It knows kinds of secrets by their form, and the places where tests are.
 */

const FORMS: Readonly<Record<string, RegExp>> = {
  'a device key': /alzy_\d+_[\w-]{43}/,
  'a token': /eyJ[\w-]{8,}\.[\w-]+/,
  'a password': /postgres(?:ql)?:\/\/[^:@\s"]+:[^@\s"]+@/,
  // Where tests are as a rule: as the wire has it, and in degrees, which alone might be any number or a time; and
  // whatever is called a position.
  'a coordinate':
    /(?<!\d)134050000(?!\d)|52\.5[12]\d*\D{1,20}13\.405|13\.405\d*\D{1,20}52\.5[12]|"(?:lat|lng|lon|geom|latitude|longitude|coordinates)"/,
  // PostgreSQL shows the row in the details of an error, if asked.
  'a row': /Failing row contains|Key \([^)]*(?:email|key_hash)[^)]*\)=/,
}

/** The kind of secret that a line holds, or null. */
export function secretIn(line: string): string | null {
  return Object.entries(FORMS).find(([, form]) => form.test(line))?.[0] ?? null
}
