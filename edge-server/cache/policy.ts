/**
 * What a service may decide about caching: switches and times with their reasons, in two profiles. `safe` is the
 * default of an appliance; `rfc` reuses whatever RFC 9111 permits. The decisions themselves are in the files beside.
 */
import type { KeyRule, QueryRule } from './key.ts';
import type { VaryNormalisation } from './vary.ts';

export interface CachePolicy {
  readonly profile: 'rfc' | 'safe';
  /** Which part of the query is in the key. */
  readonly query: QueryRule;
  /** Stands in the key for the client's host; `undefined` keeps the client's. */
  readonly canonicalHost: string | undefined;
  readonly vary: VaryNormalisation;
  /** Request fields, lower case, that never reach the origin and on which it therefore can't vary, e.g. `cookie`. */
  readonly ignoredRequestFields: ReadonlySet<string>;
  /** Responses with Set-Cookie: not stored, stored without it, or stored with it (RFC 9111 §7.3 permits). */
  readonly setCookie: 'refuse' | 'strip' | 'store';
  /** Whether a client's Cache-Control reaches into this cache. A CDN's clients must not choose its load on the origin. */
  readonly honourRequestDirectives: boolean;
  /** Whether Surrogate-Control is obeyed, after CDN-Cache-Control. */
  readonly surrogateControl: boolean;
  /** Whether Surrogate-Control, Surrogate-Key and Cache-Tag stay in responses: for an appliance that feeds others. */
  readonly forwardSurrogateFields: boolean;
  /** Heuristic freshness of 10 % of the age at receipt (RFC 9111 §4.2.2), up to `heuristicCapMillis`. */
  readonly heuristics: boolean;
  readonly heuristicCapMillis: number;
  /** For 200, 203, 204, 300, 301 and 308 about which the origin says nothing; 0 for none. Never beats no-cache. */
  readonly defaultTtlMillis: number;
  /** For 404, 405, 410, 414 and 501 about which the origin says nothing; 0 for none. */
  readonly negativeTtlMillis: number;
  /** By status, for those about which the origin says nothing; before the two above and heuristics. 0 for none. */
  readonly statusTtlMillis: ReadonlyMap<number, number>;
  /** Raises a positive lifetime; never one of 0, which asks for validation. 0 for none. */
  readonly minTtlMillis: number;
  /** Lowers any lifetime. `Infinity` for none. */
  readonly maxTtlMillis: number;
  /** Windows for responses that say nothing about staleness and do not forbid it. 4xx and 5xx get none. */
  readonly staleWhileRevalidateMillis: number;
  readonly staleIfErrorMillis: number;
  /**
   * Whether stale-while-revalidate and stale-if-error beside s-maxage count. RFC 9111 §5.2.2.10 gives s-maxage the
   * meaning of proxy-revalidate; origins that write both mean the windows, and CDNs obey them.
   */
  readonly staleBesideSharedMaxAge: boolean;
  /** Whether 400, 413 and 414 with explicit freshness are reused, for at most `requestErrorCapMillis` (cpdos.org). */
  readonly requestErrors: 'refuse' | 'store';
  readonly requestErrorCapMillis: number;
  /** Refuses a response without freshness of its own whose type contradicts the path's extension (web cache deception). */
  readonly deceptionGuard: boolean;
  /** Whether a POST whose Content-Location is its own target is stored for GET (RFC 9110 §9.3.3). */
  readonly storePost: boolean;
  /** Other lifetimes below a path prefix, the longest prefix first; see `policyAt`. */
  readonly paths: readonly { readonly prefix: string; readonly policy: CachePolicy }[];
}

const DAY_MILLIS = 86_400_000;

/** As much reuse as RFC 9111 permits a shared cache; the profile that conformance is measured with. */
export const RFC_POLICY: CachePolicy = Object.freeze({
  profile: 'rfc',
  query: Object.freeze({ kind: 'keep' }),
  canonicalHost: undefined,
  vary: Object.freeze({ acceptEncoding: 'reduce', acceptLanguage: 'sort', listSpace: 'every-field' }),
  ignoredRequestFields: new Set<string>(),
  setCookie: 'store',
  honourRequestDirectives: true,
  surrogateControl: true,
  forwardSurrogateFields: false,
  heuristics: true,
  heuristicCapMillis: DAY_MILLIS,
  defaultTtlMillis: 0,
  negativeTtlMillis: 5_000,
  statusTtlMillis: new Map<number, number>(),
  minTtlMillis: 0,
  maxTtlMillis: Number.POSITIVE_INFINITY,
  staleWhileRevalidateMillis: 0,
  staleIfErrorMillis: DAY_MILLIS,
  staleBesideSharedMaxAge: false,
  requestErrors: 'store',
  requestErrorCapMillis: 60_000,
  deceptionGuard: true,
  storePost: true,
  paths: Object.freeze([]),
} as const);

/** What an appliance does unless its service says otherwise: no cookie, no error of one client, no load chosen by clients. */
export const SAFE_POLICY: CachePolicy = Object.freeze({
  ...RFC_POLICY,
  profile: 'safe',
  vary: Object.freeze({ acceptEncoding: 'reduce', acceptLanguage: 'keep-order', listSpace: 'known-lists' }),
  setCookie: 'refuse',
  honourRequestDirectives: false,
  maxTtlMillis: 365 * DAY_MILLIS,
  staleBesideSharedMaxAge: true,
  requestErrors: 'refuse',
  storePost: false,
} as const);

export type PolicyOverrides = Partial<Omit<CachePolicy, 'profile' | 'paths'>>;

/** What may differ below a path prefix: how long responses live. */
export type PathOverrides = Partial<
  Pick<
    CachePolicy,
    | 'defaultTtlMillis'
    | 'negativeTtlMillis'
    | 'statusTtlMillis'
    | 'minTtlMillis'
    | 'maxTtlMillis'
    | 'staleWhileRevalidateMillis'
    | 'staleIfErrorMillis'
  >
>;

/** A profile with a service's overrides, frozen. */
export function cachePolicy(
  profile: 'rfc' | 'safe',
  overrides: PolicyOverrides = {},
  paths: readonly { readonly prefix: string; readonly overrides: PathOverrides }[] = [],
): CachePolicy {
  const base = { ...(profile === 'rfc' ? RFC_POLICY : SAFE_POLICY), ...overrides };
  const below = paths.map(({ prefix, overrides: own }) => ({ prefix, policy: Object.freeze({ ...base, ...own }) }));
  below.sort((a, b) => b.prefix.length - a.prefix.length);
  return Object.freeze({ ...base, paths: Object.freeze(below) });
}

/** The policy of a normalised path: that of the longest prefix, else the service's own. */
export function policyAt(policy: CachePolicy, path: string): CachePolicy {
  for (const below of policy.paths) if (path.startsWith(below.prefix)) return below.policy;
  return policy;
}

/** The part of a policy that makes keys. */
export function keyRule(policy: CachePolicy): KeyRule {
  return { query: policy.query, canonicalHost: policy.canonicalHost };
}
