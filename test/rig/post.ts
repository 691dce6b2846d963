/** One POST over a connection of its own, from whichever address of this machine, with all that came back. */
import { type IncomingHttpHeaders, request } from 'node:http'

export interface Posted {
  status: number
  headers: IncomingHttpHeaders
  text: string
}

/** `localAddress`: any of 127.0.0.0/8, so that the hub sees somebody else. */
export function post(url: string, body: unknown, localAddress = '127.0.0.1'): Promise<Posted> {
  const bytes = Buffer.from(JSON.stringify(body))
  return new Promise((resolve, reject) => {
    const asked = request(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'content-length': bytes.length },
      localAddress,
      agent: false,
    })
    asked.once('error', reject)
    asked.once('response', (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk) => {
        text += chunk
      })
      response.once('error', reject)
      response.once('end', () => resolve({ status: response.statusCode!, headers: response.headers, text }))
    })
    asked.end(bytes)
  })
}
