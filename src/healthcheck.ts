/** The health check of the Docker image: asks the hub in the same container and answers with an exit code. */
import http from 'node:http'
import https from 'node:https'

const port = process.env.ALZY_PORT || '9001'
const TIMEOUT_MS = 4_000

// The certificate speaks of the name by which others call the hub, and nobody stands between here and there.
const options = { host: '127.0.0.1', port, path: '/healthz', timeout: TIMEOUT_MS, rejectUnauthorized: false }
const client = process.env.ALZY_TLS_CERT ? https : http
client
  .get(options, ({ statusCode }) => process.exit(statusCode === 200 ? 0 : 1))
  .on('error', () => process.exit(1))
  .on('timeout', () => process.exit(1))
