/**
 * What a worker has counted since it began, as plain numbers: one addition a request on the hot path. Read once a second
 * for the report to the supervisor.
 */

import type { WaitEnding } from '../cache/collapse.ts';
import type { Coding } from '../cache/compression.ts';
import { CACHE_OUTCOMES, type CacheOutcome, EDGE_COUNTERS } from '../counters.ts';
import type { WriteOutcome } from '../store/contract.ts';
import type { UpstreamFault } from '../upstream/upstreams.ts';

type ByOutcome = Record<CacheOutcome, number>;
type Refusal = Extract<WriteOutcome, { kind: 'refused' }>['why'];

export class Counts {
  readonly requests: ByOutcome = zeroes(CACHE_OUTCOMES);
  readonly bytes: ByOutcome = zeroes(CACHE_OUTCOMES);
  /** By the first digit of the status. */
  readonly classes: [number, number, number, number, number, number] = [0, 0, 0, 0, 0, 0];
  readonly faults: Record<UpstreamFault, number> = zeroes(EDGE_COUNTERS.upstream_faults_total.label.values);
  readonly waits: Record<WaitEnding<never>['kind'], number> = zeroes(EDGE_COUNTERS.collapsed_waits_total.label.values);
  readonly refusals: Record<Refusal, number> = zeroes(EDGE_COUNTERS.store_refused_total.label.values);
  /** Requests shed, by the answer that they got. */
  readonly shed: Record<(typeof EDGE_COUNTERS.shed_requests_total.label.values)[number], number> = zeroes(
    EDGE_COUNTERS.shed_requests_total.label.values,
  );
  upstreamRequests = 0;
  upstreamBytes = 0;
  /** 5xx that this server made itself: no usable upstream, or a fault of its own. Not what an origin said, nor 504 to only-if-cached, nor what was shed. */
  ownErrors = 0;
  aborted = 0;
  stored = 0;
  background = 0;
  readonly codings: Record<Coding, number> = zeroes(EDGE_COUNTERS.compressed_responses_total.label.values);
  compressionSaved = 0;
  purges = 0;

  /** One response of `bytes` body bytes. */
  answer(outcome: CacheOutcome, status: number, bytes: number): void {
    this.requests[outcome] += 1;
    this.bytes[outcome] += bytes;
    this.classes[(status / 100) | 0]! += 1;
  }

  /** One response compressed whole. */
  compressed(coding: Coding, savedBytes: number): void {
    this.codings[coding] += 1;
    this.compressionSaved += Math.max(0, savedBytes);
  }

  refused(outcome: WriteOutcome): void {
    if (outcome.kind === 'refused') this.refusals[outcome.why] += 1;
    else this.stored += 1;
  }

  /** In the shape of the counter table, for the report. */
  snapshot(): Record<string, number | Record<string, number>> {
    const [, one, two, three, four, five] = this.classes;
    return {
      requests_total: { ...this.requests },
      response_bytes_total: { ...this.bytes },
      responses_total: { '1xx': one, '2xx': two, '3xx': three, '4xx': four, '5xx': five },
      upstream_requests_total: this.upstreamRequests,
      upstream_bytes_total: this.upstreamBytes,
      upstream_faults_total: { ...this.faults },
      collapsed_waits_total: { ...this.waits },
      own_errors_total: this.ownErrors,
      aborted_responses_total: this.aborted,
      stored_total: this.stored,
      store_refused_total: { ...this.refusals },
      background_revalidations_total: this.background,
      purges_total: this.purges,
      compressed_responses_total: { ...this.codings },
      compression_saved_bytes_total: this.compressionSaved,
      shed_requests_total: { ...this.shed },
    };
  }
}

/** What one service's requests came to, for its series. */
export interface ServiceFigures {
  readonly requests: number;
  readonly hits: number;
  readonly bytes: number;
  readonly hitBytes: number;
  readonly errors: number;
}

export function figuresOf({ requests, bytes, classes }: Counts): ServiceFigures {
  const sum = (by: ByOutcome) => Object.values(by).reduce((total, one) => total + one, 0);
  return {
    requests: sum(requests),
    hits: requests.hit,
    bytes: sum(bytes),
    hitBytes: bytes.hit,
    errors: classes[5],
  };
}

/** Several snapshots as one. */
export function summed(snapshots: readonly ReturnType<Counts['snapshot']>[]): ReturnType<Counts['snapshot']> {
  const sum: Record<string, number | Record<string, number>> = {};
  for (const snapshot of snapshots)
    for (const [name, value] of Object.entries(snapshot)) {
      const before = sum[name];
      if (typeof value === 'number') sum[name] = ((before as number | undefined) ?? 0) + value;
      else {
        const labels: Record<string, number> = { ...(before as Record<string, number> | undefined) };
        for (const [label, one] of Object.entries(value)) labels[label] = (labels[label] ?? 0) + one;
        sum[name] = labels;
      }
    }
  return sum;
}

function zeroes<K extends string>(names: readonly K[]): Record<K, number> {
  return Object.fromEntries(names.map((name) => [name, 0])) as Record<K, number>;
}
