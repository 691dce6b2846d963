/** The health check of the Docker image: asks the hub in the same container and answers with an exit code. */
const port = process.env.ALZY_PORT || '9001'
const TIMEOUT_MS = 4_000

const isHealthy = await fetch(`http://127.0.0.1:${port}/healthz`, {
  signal: AbortSignal.timeout(TIMEOUT_MS),
}).then(
  (response) => response.ok,
  () => false,
)
process.exit(isHealthy ? 0 : 1)
