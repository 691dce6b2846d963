/** What the hub tells of itself: log, figures, the audit trail, last errors and faults. The other parts tell it. */
import type { Clock } from '../clock.ts'
import { type Audit, type AuditOptions, createAudit } from './audit.ts'
import { createFaults, type Faults } from './faults.ts'
import { createLastErrors, type LastErrors } from './lastErrors.ts'
import type { Log } from './log.ts'
import { type Counts, createMetrics, type Distributions, type Gauges } from './metrics.ts'

/** What every part tells by. */
export interface Ops {
  log: Pick<Log, 'info' | 'warn' | 'error'>
  counts: Counts
  distributions: Distributions
  audit: Audit
  lastErrors: LastErrors
  faults: Faults
}

interface Gauging {
  gauges: () => Partial<Gauges>
}

type NamesOf<Part> = Part extends { gauges: () => infer Figures } ? keyof Figures : never
type Missing<Parts extends readonly Gauging[]> = Exclude<keyof Gauges, NamesOf<Parts[number]>>

export interface OpsOptions {
  limits: AuditOptions['limits'] & { lastErrorsMax: number }
  log: Log
  clock: Clock
}

export function createOps({ limits, log, clock }: OpsOptions) {
  const readers: (() => Partial<Gauges>)[] = []
  const metrics = createMetrics(() => Object.assign({}, ...readers.map((read) => read())) as Gauges)
  const { counts, distributions } = metrics
  const audit = createAudit({ log, limits, clock })
  const ops: Ops = {
    log,
    counts,
    distributions,
    audit,
    lastErrors: createLastErrors(limits, clock),
    faults: createFaults(log, counts),
  }
  return { ...ops, metrics, collect, close }

  /** Figures of the moment, of parts that are asked whenever somebody looks. It compiles when no figure is missing. */
  function collect<Parts extends readonly Gauging[]>(
    ...parts: Missing<Parts> extends never ? Parts : never
  ): void {
    readers.push(...parts.map(({ gauges }) => gauges))
  }

  function close(): void {
    metrics.close()
    audit.flush(true)
  }
}
