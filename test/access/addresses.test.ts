/** Addresses, networks and origins, apart from any socket: one spelling each, and whose word counts. */
import { describe, expect, test } from 'vitest'
import {
  blockOf,
  clientOf,
  createTrust,
  isPrivate,
  readAddress,
  readNetwork,
} from '../../src/access/addresses.ts'
import { createOrigins, readOrigin } from '../../src/access/origins.ts'
import { type ConfigError, parseConfig } from '../../src/config.ts'

describe('an address', () => {
  test.each([
    ['192.0.2.7', '192.0.2.7'],
    [' 192.0.2.7 ', '192.0.2.7'],
    ['192.0.2.7:4711', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['0000:0000:0000:0000:0000:ffff:c000:0207', '192.0.2.7'],
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['[2001:db8::1]', '2001:db8::1'],
    ['[2001:db8::1]:443', '2001:db8::1'],
  ])('%s is spelt %s', (text, spelt) => expect(readAddress(text)).toBe(spelt))

  test.each([
    '',
    'unknown',
    '192.0.2',
    '192.0.2.256',
    '192.0.2.7, 10.0.0.1',
    'fe80::1%eth0',
    '_hidden',
    ':::1',
    '1',
  ])('%j is none', (text) => expect(readAddress(text)).toBeNull())

  test.each([
    ['192.0.2.7', '192.0.2.7'],
    ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8::9', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::', 'fe80:0:0:0::/64'],
  ])('%s is counted by %s', (address, block) => expect(blockOf(address)).toBe(block))

  test('is private or not', () => {
    for (const one of ['127.0.0.1', '::1', '10.1.2.3', '192.168.1.1', '172.31.0.1', 'fd00::1']) {
      expect(isPrivate(one), one).toBe(true)
    }
    for (const one of ['192.0.2.7', '172.32.0.1', '2001:db8::1']) expect(isPrivate(one), one).toBe(false)
  })
})

describe('whose request it is', () => {
  const trust = createTrust(['10.0.0.0/8', '2001:db8::/32', '192.0.2.7'].map((text) => readNetwork(text)!))

  test.each<[string, string, string[], string]>([
    ['nobody trusted says so', '203.0.113.9', ['198.51.100.1'], '203.0.113.9'],
    ['one proxy', '10.0.0.1', ['198.51.100.1'], '198.51.100.1'],
    ['two proxies', '10.0.0.1', ['198.51.100.1', '192.0.2.7'], '198.51.100.1'],
    ['a client that forges a hop', '10.0.0.1', ['1.1.1.1', '198.51.100.1'], '198.51.100.1'],
    ['a client that forges a proxy', '10.0.0.1', ['1.1.1.1', '10.0.0.2', '198.51.100.1'], '198.51.100.1'],
    ['nothing but proxies', '10.0.0.1', ['10.0.0.3', '10.0.0.2'], '10.0.0.3'],
    ['no hop', '10.0.0.1', [], '10.0.0.1'],
    ['a hop that is none', '10.0.0.1', ['198.51.100.1', 'unknown'], '10.0.0.1'],
    ['a hop that is none behind one', '10.0.0.1', ['unknown', '192.0.2.7'], '192.0.2.7'],
    ['IPv6', '2001:db8::1', ['2001:DB9::0001'], '2001:db9::1'],
    ['IPv4 in IPv6', '10.0.0.1', ['::ffff:198.51.100.1'], '198.51.100.1'],
  ])('with %s', (_, peer, hops, client) => expect(clientOf(peer, hops, trust)).toBe(client))

  test('is the peer’s where nobody is trusted', () => {
    expect(clientOf('10.0.0.1', ['198.51.100.1'], createTrust([]))).toBe('10.0.0.1')
  })
})

describe('an origin', () => {
  const own = { scheme: 'https', host: 'hub.example.org' } as const
  const origins = createOrigins({
    allowed: ['https://maps.example.org'],
    fallback: () => 'http://127.0.0.1:9001',
  })

  test.each([
    ['https://hub.example.org', true],
    ['https://maps.example.org', true],
    ['HTTPS://Maps.Example.ORG', true],
    ['https://maps.example.org:443', true],
    ['https://maps.example.org:8443', false],
    ['http://maps.example.org', false],
    ['http://hub.example.org', false],
    ['https://maps.example.org.', false],
    ['https://maps.example.org/', false],
    ['https://maps.example.org.evil.example', false],
    ['https://evilmaps.example.org', false],
    ['https://x.maps.example.org', false],
    ['https://maps.example.org https://evil.example', false],
    ['https://maps.example.org@evil.example', false],
    ['null', false],
    ['', false],
    ['file://', false],
    ['https://', false],
    ['//maps.example.org', false],
  ])('%j may use the hub: %s', (origin, isAllowed) => expect(origins.isAllowed(origin, own)).toBe(isAllowed))

  test.each([
    ['hub.example.org:443', 'https://hub.example.org'],
    ['HUB.example.org', 'https://hub.example.org'],
    ['hub.example.org.', 'https://hub.example.org.'],
    ['hub.example.org:8443', 'https://hub.example.org:8443'],
    ['[2001:db8::1]:8443', 'https://[2001:db8::1]:8443'],
  ])('is the hub’s own for Host %s', (host, origin) => {
    const called = { scheme: 'https', host } as const
    expect(origins.isAllowed(origin, called)).toBe(true)
    expect(createOrigins({ allowed: [], fallback: () => '' }).baseUrl(called)).toBe(origin)
  })

  test.each(['', 'evil/path', 'a b', 'user@hub', 'hub:port', 'hub:99999', '[::1', 'hub#x', 'hub?x', '\\'])(
    'is nobody’s for Host %j',
    (host) => {
      for (const origin of [`https://${host}`, 'null', '']) {
        expect(origins.isAllowed(origin, { scheme: 'https', host })).toBe(false)
      }
      const unnamed = createOrigins({ allowed: [], fallback: () => 'http://127.0.0.1:9001' })
      expect(unnamed.baseUrl({ scheme: 'https', host })).toBe('http://127.0.0.1:9001')
    },
  )

  test('links begin with the first that is listed', () => {
    expect(origins.baseUrl(own)).toBe('https://maps.example.org')
    expect(readOrigin('https://maps.example.org:443')).toBe('https://maps.example.org')
  })
})

describe('settings', () => {
  function problemsOf(env: Record<string, string>): readonly string[] {
    try {
      parseConfig(env)
      return []
    } catch (error) {
      return (error as ConfigError).problems
    }
  }

  test('have a line for each wrong entry, that says which', () => {
    const problems = problemsOf({
      ALZY_TRUSTED_PROXIES:
        '10.0.0.0/8, 10.0.0.0/33, proxy.example.org, ::/0, 0.0.0.0/0, 10.0.0.1:80, ,2001:db8::/32',
      ALZY_ORIGINS: 'https://maps.example.org, https://*.example.org, null, *, https://a.example/path',
      ALZY_TLS_CERT: '/nowhere/cert.pem',
      ALZY_RETENTION_DAYS: '0',
      ALZY_SOCKETS_PER_ADDRESS_MAX: 'many',
    })
    const entries = problems.map((problem) => /^(\w+): (?:"(.*?)"|must|required)/.exec(problem)?.slice(1, 3))
    expect(entries).toEqual(
      expect.arrayContaining([
        ...['10.0.0.0/33', 'proxy.example.org', '::/0', '0.0.0.0/0', '10.0.0.1:80', ''].map((text) => [
          'ALZY_TRUSTED_PROXIES',
          text,
        ]),
        ...['https://*.example.org', 'null', '*', 'https://a.example/path'].map((text) => [
          'ALZY_ORIGINS',
          text,
        ]),
        ['ALZY_RETENTION_DAYS', undefined],
        ['ALZY_SOCKETS_PER_ADDRESS_MAX', undefined],
      ]),
    )
    expect(entries).toHaveLength(12)
    for (const problem of problems) expect(problem).not.toContain('\n')
  })

  test('of TLS come both or not at all', () => {
    expect(problemsOf({ ALZY_TLS_CERT: 'c' })).toEqual(['ALZY_TLS_KEY: required with ALZY_TLS_CERT'])
    expect(problemsOf({ ALZY_TLS_KEY: 'k' })).toEqual(['ALZY_TLS_CERT: required with ALZY_TLS_KEY'])
    expect(parseConfig({ ALZY_TLS_CERT: 'c', ALZY_TLS_KEY: 'k' }).tls).toEqual({
      certPath: 'c',
      keyPath: 'k',
    })
    expect(parseConfig({}).tls).toBeNull()
  })

  test('that are right are spelt as they are compared', () => {
    const config = parseConfig({
      ALZY_TRUSTED_PROXIES: '::ffff:10.0.0.1, 2001:DB8::/32,192.168.0.0/16',
      ALZY_ORIGINS: 'HTTPS://Maps.Example.org:443,http://10.0.0.1:8080',
      ALZY_RETENTION_DAYS: '30',
    })
    expect(config.trustedProxies).toEqual([
      { address: '10.0.0.1', prefix: 32 },
      { address: '2001:db8::', prefix: 32 },
      { address: '192.168.0.0', prefix: 16 },
    ])
    expect(config.origins).toEqual(['https://maps.example.org', 'http://10.0.0.1:8080'])
    expect(config.retentionMs).toBe(30 * 24 * 3_600_000)
  })
})
