/**
 * Whether a stored response may be used for a request now: fresh, stale by permission, or only after validation
 * (RFC 9111 §4, §5.2.1; RFC 5861). Called at every hit: no allocation but the outcome of a fresh or stale use.
 */
import type { RequestDirectives } from './directives.ts';
import type { CachePolicy } from './policy.ts';
import type { StoredResponse } from './stored-response.ts';

export type ValidateWhy =
  | 'stale'
  | 'purged'
  | 'no-cache'
  | 'request-no-cache'
  | 'request-max-age'
  | 'request-min-fresh';

export type Reuse =
  | { readonly use: 'fresh'; readonly ttlMillis: number }
  /** Use it at once and revalidate behind the answer, once per key. */
  | { readonly use: 'stale-while-revalidate'; readonly staleMillis: number }
  /** The request's max-stale allows it. */
  | { readonly use: 'stale-allowed'; readonly staleMillis: number }
  /** Ask the origin first, conditionally where there is a validator. */
  | { readonly use: 'validate'; readonly why: ValidateWhy };

const VALIDATE: Readonly<Record<ValidateWhy, Reuse>> = {
  stale: { use: 'validate', why: 'stale' },
  purged: { use: 'validate', why: 'purged' },
  'no-cache': { use: 'validate', why: 'no-cache' },
  'request-no-cache': { use: 'validate', why: 'request-no-cache' },
  'request-max-age': { use: 'validate', why: 'request-max-age' },
  'request-min-fresh': { use: 'validate', why: 'request-min-fresh' },
};

/** current_age (RFC 9111 §4.2.3). Never negative, also when the clock was set back since. */
export function currentAgeMillis(stored: StoredResponse, nowMillis: number): number {
  const resident = nowMillis - stored.responseMillis;
  return resident > 0 ? stored.initialAgeMillis + resident : stored.initialAgeMillis;
}

/** The value of the Age field. */
export function ageSeconds(stored: StoredResponse, nowMillis: number): number {
  return Math.floor(currentAgeMillis(stored, nowMillis) / 1000);
}

/** What is left of its freshness; 0 or less: not fresh. -Infinity when each use needs validation. Allocates nothing. */
export function freshMillisLeft(stored: StoredResponse, nowMillis: number): number {
  if (stored.freshness.alwaysValidate) return Number.NEGATIVE_INFINITY;
  return stored.freshness.lifetimeMillis - currentAgeMillis(stored, nowMillis);
}

/**
 * How a stored response may be used. `request` is `undefined` without Cache-Control. `softPurged`: a soft purge covers
 * it, so it is stale from now on.
 */
export function reuse(
  stored: StoredResponse,
  request: RequestDirectives | undefined,
  nowMillis: number,
  policy: Pick<CachePolicy, 'honourRequestDirectives'>,
  softPurged = false,
): Reuse {
  const { freshness } = stored;
  if (freshness.alwaysValidate) return VALIDATE['no-cache'];
  const ageMillis = currentAgeMillis(stored, nowMillis);
  const left = freshness.lifetimeMillis - ageMillis;
  const fresh = left > 0 && !softPurged;
  const wish = policy.honourRequestDirectives ? request : undefined;
  if (wish !== undefined) {
    if (wish.noCache) return VALIDATE['request-no-cache'];
    // RFC 8246: a reload (max-age=0) of what never changes is served as it is.
    const reload = fresh && freshness.immutable && wish.maxAgeMillis === 0;
    if (wish.maxAgeMillis !== undefined && ageMillis > wish.maxAgeMillis && !reload) return VALIDATE['request-max-age'];
    if (wish.minFreshMillis !== undefined && left < wish.minFreshMillis) return VALIDATE['request-min-fresh'];
  }
  if (fresh) return { use: 'fresh', ttlMillis: left };
  const staleMillis = left > 0 ? 0 : -left;
  const why = softPurged ? 'purged' : 'stale';
  if (freshness.staleForbidden) return VALIDATE[why];
  if (staleMillis < freshness.staleWhileRevalidateMillis) return { use: 'stale-while-revalidate', staleMillis };
  if (wish?.maxStaleMillis !== undefined && !softPurged && staleMillis <= wish.maxStaleMillis)
    return { use: 'stale-allowed', staleMillis };
  return VALIDATE[why];
}

export type StaleOnError =
  | { readonly use: 'stale-if-error'; readonly staleMillis: number }
  | { readonly use: 'error'; readonly why: 'forbidden' | 'no-cache' | 'window-over' };

/**
 * Whether a stored response answers although the origin failed: no connection, no answer in time, or 500, 502, 503,
 * 504 (RFC 5861 §4). A validator is not needed for it.
 */
export function staleOnError(
  stored: StoredResponse,
  request: RequestDirectives | undefined,
  nowMillis: number,
  policy: Pick<CachePolicy, 'honourRequestDirectives'>,
): StaleOnError {
  const { freshness } = stored;
  if (freshness.alwaysValidate) return { use: 'error', why: 'no-cache' };
  const staleMillis = Math.max(0, currentAgeMillis(stored, nowMillis) - freshness.lifetimeMillis);
  // Still fresh: a soft purge or the client asked for validation, nobody forbade what is stored.
  if (staleMillis === 0 && freshness.lifetimeMillis > 0) return { use: 'stale-if-error', staleMillis };
  if (freshness.staleForbidden) return { use: 'error', why: 'forbidden' };
  const wished = policy.honourRequestDirectives ? (request?.staleIfErrorMillis ?? 0) : 0;
  const windowMillis = Math.max(freshness.staleIfErrorMillis, freshness.staleWhileRevalidateMillis, wished);
  return staleMillis < windowMillis ? { use: 'stale-if-error', staleMillis } : { use: 'error', why: 'window-over' };
}

/** Whether an upstream status counts as a failure for `staleOnError` (RFC 5861 §4). */
export function failureStatus(status: number): boolean {
  return status === 500 || status === 502 || status === 503 || status === 504;
}

/** only-if-cached (RFC 9111 §5.2.1.7): a request that the store can't answer gets 504. Costs the origin nothing, so always honoured. */
export function forwardingForbidden(request: RequestDirectives | undefined): boolean {
  return request?.onlyIfCached === true;
}
