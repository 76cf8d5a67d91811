/**
 * How long a response is fresh, how old it is, and whether it may be used now (RFC 9111 §4.2, RFC 5861, RFC 8246).
 * Decided in two steps: `freshnessOf` once when it is stored, `reuse` at every hit. Whether it may be stored at all
 * is `storability.ts`. Time is an argument; durations are milliseconds.
 */
import { parseHttpDate } from '../http/dates.ts';
import type { Fields } from '../http/fields.ts';
import { deltaMillis } from './directives.ts';
import type { CachePolicy } from './policy.ts';
import type { Freshness } from './stored-response.ts';
import type { EffectiveDirectives } from './targeted.ts';

/** Status codes that are cacheable by default (RFC 9110 §15.1), 206 left out. */
const HEURISTIC = new Set([200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501]);
/** Of those, the ones that say that something is not there. */
const NEGATIVE = new Set([404, 405, 410, 414, 501]);
const REQUEST_ERROR = new Set([400, 413, 414]);

/** A response head with the times around it. */
export interface ReceivedResponse {
  readonly status: number;
  readonly fields: Fields;
  /** When the request that brought it was sent, and when its head had arrived; wall clock. */
  readonly requestMillis: number;
  readonly responseMillis: number;
}

/** Date, or the time of receipt when it is absent or not a date (RFC 9110 §6.6.1). */
export function dateMillisOf(response: Pick<ReceivedResponse, 'fields' | 'responseMillis'>): number {
  const value = response.fields.get('date');
  const date = value === undefined ? undefined : parseHttpDate(value, response.responseMillis);
  return date ?? response.responseMillis;
}

/** corrected_initial_age (RFC 9111 §4.2.3), milliseconds. A Date in the future counts as now. */
export function initialAge(response: ReceivedResponse): number {
  const { requestMillis, responseMillis } = response;
  // Date is a whole second: what is less than one apart is no age.
  const apparent = Math.floor((responseMillis - dateMillisOf(response)) / 1000) * 1000;
  const delay = Math.max(0, responseMillis - requestMillis);
  return Math.max(0, apparent, ageMillisOf(response.fields) + delay);
}

/** The Age field: its first member (RFC 9111 §5.1); 0 when absent or malformed. */
function ageMillisOf(fields: Fields): number {
  const first = fields.lines('age')[0]?.split(',', 1)[0]?.trim();
  return deltaMillis(first) ?? 0;
}

/** How long a response may be used. `effective` is what `effectiveDirectives` read from the same fields. */
export function freshnessOf(
  response: ReceivedResponse,
  { source, directives }: EffectiveDirectives,
  policy: CachePolicy,
): Freshness {
  const { status } = response;
  const [said, from] = lifetime(response, { source, directives }, policy);
  const [lifetimeMillis, ruledFrom] = ruled(said, from, status, policy);
  const windows = directives.staleWhileRevalidateMillis !== undefined || directives.staleIfErrorMillis !== undefined;
  const staleForbidden =
    directives.mustRevalidate ||
    directives.proxyRevalidate ||
    (directives.sharedMaxAgeMillis !== undefined && !(windows && policy.staleBesideSharedMaxAge));
  const noStale = staleForbidden || directives.noCache;
  // An error is never kept beyond what the origin said.
  const grace = status < 400;
  return {
    lifetimeMillis,
    staleWhileRevalidateMillis: noStale
      ? 0
      : (directives.staleWhileRevalidateMillis ?? (grace ? policy.staleWhileRevalidateMillis : 0)),
    staleIfErrorMillis: noStale ? 0 : (directives.staleIfErrorMillis ?? (grace ? policy.staleIfErrorMillis : 0)),
    staleForbidden,
    alwaysValidate: directives.noCache,
    immutable: directives.immutable,
    from: ruledFrom,
  };
}

function lifetime(
  response: ReceivedResponse,
  { source, directives }: EffectiveDirectives,
  policy: CachePolicy,
): [number, Freshness['from']] {
  const targeted = source !== 'cache-control';
  const { sharedMaxAgeMillis, maxAgeMillis } = directives;
  if (sharedMaxAgeMillis !== undefined) return [sharedMaxAgeMillis, targeted ? 'cdn-cache-control' : 's-maxage'];
  if (maxAgeMillis !== undefined) return [maxAgeMillis, targeted ? 'cdn-cache-control' : 'max-age'];
  const expires = targeted ? undefined : response.fields.get('expires');
  const date = dateMillisOf(response);
  if (expires !== undefined) {
    const until = parseHttpDate(expires, response.responseMillis);
    return [until === undefined ? 0 : Math.max(0, until - date), 'expires'];
  }
  if (directives.noCache) return [0, 'none'];
  const byStatus = policy.statusTtlMillis.get(response.status);
  if (byStatus !== undefined) return assumed(byStatus, NEGATIVE.has(response.status) ? 'negative' : 'default');
  if (!HEURISTIC.has(response.status) && !directives.public) return [0, 'none'];
  const modified = policy.heuristics ? lastModifiedMillisOf(response) : undefined;
  if (modified !== undefined && modified < date)
    return [Math.min((date - modified) / 10, policy.heuristicCapMillis), 'heuristic'];
  if (NEGATIVE.has(response.status)) return assumed(policy.negativeTtlMillis, 'negative');
  return response.status < 400 ? assumed(policy.defaultTtlMillis, 'default') : [0, 'none'];
}

function assumed(millis: number, from: 'negative' | 'default'): [number, Freshness['from']] {
  return millis > 0 ? [millis, from] : [0, 'none'];
}

/** The service's bounds. A lifetime of 0 is the origin's wish for validation and stays. */
function ruled(
  millis: number,
  from: Freshness['from'],
  status: number,
  policy: CachePolicy,
): [number, Freshness['from']] {
  if (millis <= 0) return [0, from];
  if (REQUEST_ERROR.has(status)) return [Math.min(millis, policy.requestErrorCapMillis, policy.maxTtlMillis), from];
  // Errors and what is missing are not kept longer than the origin said.
  const least = status < 400 ? policy.minTtlMillis : 0;
  const within = Math.min(Math.max(millis, least), policy.maxTtlMillis);
  return within === millis ? [millis, from] : [within, 'override'];
}

/** Last-Modified; `undefined` when absent or not a date. */
export function lastModifiedMillisOf(
  response: Pick<ReceivedResponse, 'fields' | 'responseMillis'>,
): number | undefined {
  const value = response.fields.get('last-modified');
  return value === undefined ? undefined : parseHttpDate(value, response.responseMillis);
}
