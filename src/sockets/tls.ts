/**
 * TLS by the hub itself: whether certificate and key can be used, and by which name the hub's own machine reaches
 * it. It opens no connection.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'

export interface TlsFiles {
  certPath: string
  keyPath: string
}

/** One line for each thing that keeps the hub from using these files; none when all is well. */
export function tlsProblems({ certPath, keyPath }: TlsFiles): string[] {
  const problems: string[] = []
  const cert = attempt('ALZY_TLS_CERT', certPath, readCertificate, problems)
  const key = attempt('ALZY_TLS_KEY', keyPath, (pem) => createPrivateKey(pem), problems)
  if (cert !== null && key !== null && !cert.checkPrivateKey(key)) {
    problems.push(`ALZY_TLS_KEY: ${keyPath} is not the key of the certificate in ${certPath}`)
  }
  return problems
}

/** When the certificate ends, in ms since 1970; to be called when there are no problems. */
export function tlsExpiresMs({ certPath }: TlsFiles): number {
  return Date.parse(readCertificate(readFileSync(certPath)).validTo)
}

/** Where the hub is reached from its own machine; with TLS by a name that its certificate knows, if it can be read. */
export function localUrl(host: string, port: number, tls: TlsFiles | null): string {
  const near = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host
  const name = tls === null ? near : nameOf(tls, near)
  return `${tls === null ? 'http' : 'https'}://${name.includes(':') ? `[${name}]` : name}:${port}`
}

function nameOf({ certPath }: TlsFiles, near: string): string {
  try {
    const cert = readCertificate(readFileSync(certPath))
    if (cert.checkIP(near) !== undefined || cert.checkHost(near) !== undefined) return near
    if (cert.checkHost('localhost') !== undefined) return 'localhost'
    return /(?:^|, )DNS:([^*,\s]+)/.exec(cert.subjectAltName ?? '')?.[1] ?? near
  } catch {
    return near
  }
}

/** The server below us reads PEM alone. */
function readCertificate(pem: Buffer): X509Certificate {
  if (!pem.includes('-----BEGIN CERTIFICATE-----')) throw new Error('not PEM')
  return new X509Certificate(pem)
}

function attempt<Thing>(
  setting: string,
  path: string,
  read: (pem: Buffer) => Thing,
  problems: string[],
): Thing | null {
  let pem: Buffer
  try {
    pem = readFileSync(path)
  } catch (error) {
    problems.push(`${setting}: cannot read ${path} (${(error as NodeJS.ErrnoException).code})`)
    return null
  }
  try {
    return read(pem)
  } catch {
    const isLocked = pem.includes('ENCRYPTED')
    const what = setting === 'ALZY_TLS_CERT' ? 'a certificate' : 'a private key'
    problems.push(
      `${setting}: ${path} is ${isLocked ? 'encrypted: remove its passphrase' : `not ${what} in PEM`}`,
    )
    return null
  }
}
