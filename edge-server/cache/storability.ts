/**
 * Whether a response may be stored for others, and as what (RFC 9111 §3). One function per question, every refusal
 * a word that also stands in `Cache-Status; detail=`. How long it lives is `freshness.ts`, which fields stay is
 * `response-fields.ts`.
 */
import { formatHttpDate } from '../http/dates.ts';
import type { Fields } from '../http/fields.ts';
import { entityTag, strongDate } from '../http/preconditions.ts';
import { parseContentRange } from '../http/ranges.ts';
import { contradictsExtension } from './deception.ts';
import { type ResponseDirectives, requestDirectives } from './directives.ts';
import { dateMillisOf, freshnessOf, initialAge, lastModifiedMillisOf, type ReceivedResponse } from './freshness.ts';
import type { CachePolicy } from './policy.ts';
import { storedFields, tagsOf } from './response-fields.ts';
import type { StoredResponse } from './stored-response.ts';
import { type EffectiveDirectives, effectiveDirectives } from './targeted.ts';
import { variantOf, varyOf } from './vary.ts';

/** The request as it was sent upstream for this key. */
export interface StoringRequest {
  readonly method: string;
  /** The client's fields: they select the variant. */
  readonly fields: Fields;
  readonly hasBody: boolean;
  /** Canonical URL, from the cache key. */
  readonly url: string;
}

export type NotStoredWhy =
  | 'method'
  | 'request-body'
  | 'request-no-store'
  | 'status'
  | 'partial'
  | 'partial-unusable'
  | 'no-store'
  | 'private'
  | 'authorization'
  | 'set-cookie'
  | 'vary-star'
  | 'vary-unparsable'
  | 'request-error'
  | 'must-understand'
  | 'no-freshness'
  | 'deception';

/** What the decision contributes to a `StoredResponse`; the caller adds id, key, length, purge number and digest. */
export type StorableParts = Pick<
  StoredResponse,
  | 'vary'
  | 'variant'
  | 'status'
  | 'fields'
  | 'etag'
  | 'lastModifiedMillis'
  | 'requestMillis'
  | 'responseMillis'
  | 'initialAgeMillis'
  | 'freshness'
  | 'tags'
>;

export type Storability =
  | { readonly store: true; readonly parts: StorableParts }
  | { readonly store: false; readonly why: NotStoredWhy };

/**
 * Never stored whatever they say: interim and partial ones, those that answer a condition, a range, a connection or a
 * single client rather than the resource (RFC 6585 §3-6 forbids 428, 429, 431, 511; RFC 8470 §5.2 for 425).
 */
const NEVER = new Set([206, 304, 407, 412, 416, 417, 421, 425, 428, 429, 431, 511]);

/** Status codes whose caching rules this cache knows (RFC 9110 §15), for must-understand. */
const UNDERSTOOD = new Set([
  200, 201, 202, 203, 204, 205, 300, 301, 302, 303, 307, 308, 400, 401, 402, 403, 404, 405, 406, 408, 409, 410, 411,
  413, 414, 415, 422, 426, 451, 500, 501, 502, 503, 504, 505,
]);

const REQUEST_ERROR = new Set([400, 413, 414]);

/** Whether a whole response may be stored. A 206 is `partial`: see `partialStorability`. */
export function storability(request: StoringRequest, response: ReceivedResponse, policy: CachePolicy): Storability {
  if (response.status === 206) return refused('partial');
  return decided(request, response, policy, false);
}

export type PartialStorability =
  | {
      readonly store: true;
      readonly parts: StorableParts;
      readonly range: { readonly start: number; readonly end: number; readonly length: number };
    }
  | { readonly store: false; readonly why: NotStoredWhy };

/**
 * Whether a 206 may fill part of a stored representation: one range of a known length under a strong validator
 * (RFC 9111 §3.4), and all that holds for the 200 that it is a part of. `parts.status` is 200.
 */
export function partialStorability(
  request: StoringRequest,
  response: ReceivedResponse,
  policy: CachePolicy,
): PartialStorability {
  const range = parseContentRange(response.fields.get('content-range'));
  if (response.status !== 206 || range?.kind !== 'range' || range.length === undefined)
    return refused('partial-unusable');
  if (!hasStrongValidator(response)) return refused('partial-unusable');
  const whole = decided(request, { ...response, status: 200 }, policy, true);
  if (!whole.store) return whole;
  return { ...whole, range: { start: range.start, end: range.end, length: range.length } };
}

/** A strong ETag, or a Last-Modified old enough to be one (RFC 9110 §8.8). */
export function hasStrongValidator(response: Pick<ReceivedResponse, 'fields' | 'responseMillis'>): boolean {
  const etag = response.fields.get('etag');
  if (etag !== undefined) return etag.startsWith('"') && entityTag(etag);
  const modified = lastModifiedMillisOf(response);
  return modified !== undefined && strongDate(modified, dateMillisOf(response));
}

function decided(
  request: StoringRequest,
  response: ReceivedResponse,
  policy: CachePolicy,
  partial: boolean,
): Storability {
  const effective = effectiveDirectives(response.fields, policy.surrogateControl);
  const why =
    requestRefusal(request, response, policy) ??
    statusRefusal(response.status, effective.directives, policy) ??
    directiveRefusal(request, effective.directives) ??
    cookieRefusal(response.fields, effective.directives, policy);
  if (why !== undefined) return refused(why);
  const vary = varyOf(response.fields, policy.ignoredRequestFields);
  if (vary.kind === 'star') return refused(vary.why === 'star' ? 'vary-star' : 'vary-unparsable');
  return lived(request, response, policy, { effective, vary: vary.names, partial });
}

/** The last questions, once its freshness is known: is there any use in it, and does its type fit its name. */
function lived(
  request: StoringRequest,
  response: ReceivedResponse,
  policy: CachePolicy,
  known: { effective: EffectiveDirectives; vary: readonly string[]; partial: boolean },
): Storability {
  const { fields, requestMillis, responseMillis, status } = response;
  const freshness = freshnessOf(response, known.effective, policy);
  const etag = fields.get('etag');
  const lastModifiedMillis = lastModifiedMillisOf(response);
  const validator = etag !== undefined || lastModifiedMillis !== undefined;
  if (!usable(freshness, validator, known.effective.directives)) return refused('no-freshness');
  const explicit = !['heuristic', 'default', 'negative', 'none'].includes(freshness.from);
  if (request.method === 'POST' && !explicit) return refused('method');
  const type = fields.get('content-type');
  if (policy.deceptionGuard && status < 400 && !explicit && contradictsExtension(request.url, type))
    return refused('deception');
  const kept = storedFields(fields, {
    omittedFields: known.effective.directives.omittedFields,
    stripSetCookie: policy.setCookie !== 'store',
    forwardSurrogateFields: policy.forwardSurrogateFields,
    partial: known.partial,
  });
  // RFC 9110 §6.6.1: what is stored without a Date gets the time of its receipt.
  if (!fields.has('date')) kept.push('date', formatHttpDate(responseMillis));
  const parts: StorableParts = {
    vary: known.vary,
    variant: variantOf(known.vary, request.fields, policy.vary),
    status,
    fields: kept,
    etag,
    lastModifiedMillis,
    requestMillis,
    responseMillis,
    initialAgeMillis: initialAge(response),
    freshness,
    tags: tagsOf(fields),
  };
  return { store: true, parts };
}

function requestRefusal(
  request: StoringRequest,
  response: ReceivedResponse,
  policy: CachePolicy,
): NotStoredWhy | undefined {
  // A HEAD has no body to store (RFC 9110 §9.3.2); a POST stands for a GET only when its response names its own target.
  const post = request.method === 'POST' && policy.storePost && ownLocation(request.url, response.fields);
  if (request.method !== 'GET' && !post) return 'method';
  if (request.hasBody && request.method === 'GET') return 'request-body';
  if (policy.honourRequestDirectives && requestDirectives(request.fields)?.noStore === true) return 'request-no-store';
  return undefined;
}

function ownLocation(url: string, fields: Fields): boolean {
  const location = fields.get('content-location');
  return location !== undefined && URL.canParse(location, url) && new URL(location, url).href === new URL(url).href;
}

function statusRefusal(status: number, directives: ResponseDirectives, policy: CachePolicy): NotStoredWhy | undefined {
  if (status < 200 || status > 599 || NEVER.has(status)) return 'status';
  if (directives.mustUnderstand && !UNDERSTOOD.has(status)) return 'must-understand';
  if (policy.requestErrors === 'refuse' && REQUEST_ERROR.has(status)) return 'request-error';
  return undefined;
}

function directiveRefusal(request: StoringRequest, directives: ResponseDirectives): NotStoredWhy | undefined {
  // RFC 9111 §5.2.2.3: where must-understand is met, no-store is for caches that do not understand.
  if (directives.noStore && !directives.mustUnderstand) return 'no-store';
  if (directives.private) return 'private';
  const shared = directives.public || directives.mustRevalidate || directives.sharedMaxAgeMillis !== undefined;
  if (request.fields.has('authorization') && !shared) return 'authorization';
  return undefined;
}

function cookieRefusal(fields: Fields, directives: ResponseDirectives, policy: CachePolicy): NotStoredWhy | undefined {
  if (policy.setCookie !== 'refuse' || !fields.has('set-cookie')) return undefined;
  return directives.omittedFields.includes('set-cookie') ? undefined : 'set-cookie';
}

/** Something can come of storing it: it is fresh for a while, can be validated, or the origin lets it serve stale. */
function usable(freshness: StoredResponse['freshness'], validator: boolean, directives: ResponseDirectives): boolean {
  if (validator || (freshness.lifetimeMillis > 0 && !freshness.alwaysValidate)) return true;
  if (freshness.staleForbidden || freshness.alwaysValidate) return false;
  return (directives.staleIfErrorMillis ?? 0) > 0 || (directives.staleWhileRevalidateMillis ?? 0) > 0;
}

function refused(why: NotStoredWhy): { readonly store: false; readonly why: NotStoredWhy } {
  return { store: false, why };
}
