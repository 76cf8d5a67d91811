/** An appliance's load between two heartbeats, from the workers' running totals; and what clients asked for meanwhile. */
import type { Heartbeat } from '../control-plane/api.ts';
import type { Clock } from '../runtime/clock.ts';
import type { WorkerReport } from './worker-messages.ts';

/** Event-loop delay at which a worker has no head-room left (conventions §1 Overload), milliseconds. */
const DELAY_FULL_MILLIS = 100;

export interface Measured {
  readonly load: Heartbeat['load'];
  readonly answers: Heartbeat['answers'];
  readonly popularity: Record<string, [requests: number, bytes: number]>;
}

export class Load {
  readonly #clock: Clock;
  readonly #connections: number;
  #atMillis: number;
  #totals = { requests: 0, bytes: 0, errors: 0 };
  #seen = new WeakSet<WorkerReport>();

  /** `connections`: limit of one worker. */
  constructor(clock: Clock, connections: number) {
    this.#clock = clock;
    this.#connections = connections;
    this.#atMillis = clock.monotonic();
  }

  measure(reports: readonly WorkerReport[]): Measured {
    const now = this.#clock.monotonic();
    const seconds = Math.max(0.1, (now - this.#atMillis) / 1000);
    const totals = { requests: 0, bytes: 0, errors: 0 };
    for (const { counters } of reports) {
      totals.requests += total(counters.requests_total);
      totals.bytes += total(counters.response_bytes_total);
      totals.errors += total(counters.own_errors_total);
    }
    // A restarted worker counts from zero: what is negative is no answer of this interval.
    const since = (key: keyof typeof totals) => Math.max(0, totals[key] - this.#totals[key]);
    const [requests, bytes, errors] = [since('requests'), since('bytes'), since('errors')];
    this.#totals = totals;
    this.#atMillis = now;
    const connections = reports.reduce((sum, report) => sum + report.connections, 0);
    const delay = Math.max(0, ...reports.map((report) => report.eventLoopDelayMillis));
    const limit = this.#connections * Math.max(1, reports.length);
    // Who sheds has no head-room, also while the readings of the last second are calm.
    const shedding = reports.some(({ overload }) => overload.shedLevel > 0 || overload.memoryLevel > 0);
    const share = Math.max(delay / DELAY_FULL_MILLIS, limit === 0 ? 0 : connections / limit);
    const used = shedding ? 1 : Math.min(1, share);
    return {
      load: {
        connections,
        requestsPerSecond: requests / seconds,
        bytesPerSecond: bytes / seconds,
        eventLoopDelayMillis: delay,
        used,
      },
      answers: { total: requests, errors },
      popularity: this.#popularity(reports),
    };
  }

  #popularity(reports: readonly WorkerReport[]): Record<string, [number, number]> {
    const all: Record<string, [number, number]> = Object.create(null);
    for (const report of reports) {
      if (this.#seen.has(report)) continue;
      this.#seen.add(report);
      for (const [path, [requests, bytes]] of Object.entries(report.popularity)) {
        const before = all[path];
        all[path] = [requests + (before?.[0] ?? 0), bytes + (before?.[1] ?? 0)];
      }
    }
    return all;
  }
}

function total(counter: WorkerReport['counters'][string] | undefined): number {
  if (counter === undefined) return 0;
  if (typeof counter === 'number') return counter;
  return Object.values(counter).reduce((sum, value) => sum + value, 0);
}
