/**
 * What a 304 does to the stored response that was validated with it (RFC 9111 §4.3.3-4). The body, its encoding and its
 * validator stay; fields, age and freshness become the 304's. A 304 that speaks of another version or other variants
 * changes nothing: the caller fetches again without conditions.
 */

import { formatHttpDate } from '../http/dates.ts';
import { Fields } from '../http/fields.ts';
import { weakMatch } from '../http/preconditions.ts';
import { freshnessOf, initialAge, lastModifiedMillisOf, type ReceivedResponse } from './freshness.ts';
import type { CachePolicy } from './policy.ts';
import { freshenedFields, tagsOf } from './response-fields.ts';
import type { StoredResponse } from './stored-response.ts';
import { effectiveDirectives } from './targeted.ts';
import { varyOf } from './vary.ts';

export type Freshening =
  /** Replaces the stored response; its body stays. */
  | { readonly kind: 'freshened'; readonly response: StoredResponse }
  /** Answers this request; then the stored response has to go. */
  | { readonly kind: 'used-once'; readonly response: StoredResponse; readonly why: 'no-store' | 'private' }
  /** The 304 is not about what is stored. */
  | { readonly kind: 'mismatch'; readonly why: 'etag' | 'vary' };

/**
 * The stored response as freshened. `purgeNumber` is the newest purge known when the conditional request was sent, so
 * that a purge during the validation still covers the result.
 */
export function freshened(
  stored: StoredResponse,
  notModified: ReceivedResponse,
  policy: CachePolicy,
  purgeNumber: number,
): Freshening {
  const { requestMillis, responseMillis } = notModified;
  const etag = notModified.fields.get('etag');
  if (etag !== undefined && stored.etag !== undefined && !weakMatch(etag, stored.etag))
    return { kind: 'mismatch', why: 'etag' };
  if (varies(notModified.fields, stored, policy)) return { kind: 'mismatch', why: 'vary' };

  const from304 = notModified.fields.clone();
  // Without a Date of its own the stored, old one would make it old at once (RFC 9110 §6.6.1).
  if (!from304.has('date')) from304.append('date', formatHttpDate(responseMillis));
  const all = { omittedFields: [], stripSetCookie: false, forwardSurrogateFields: true, partial: false };
  const merged = new Fields(freshenedFields(stored.fields, from304, all));
  const effective = effectiveDirectives(merged, policy.surrogateControl);
  const { directives } = effective;
  // A Surrogate-Control was obeyed and not kept: the 304 that does not repeat it does not revoke it.
  const kept = stored.freshness.from === 'cdn-cache-control' && effective.source === 'cache-control';
  const fields = freshenedFields(stored.fields, from304, {
    omittedFields: directives.omittedFields,
    stripSetCookie: policy.setCookie !== 'store',
    forwardSurrogateFields: policy.forwardSurrogateFields,
    partial: false,
  });
  const tags = tagsOf(notModified.fields);
  const received: ReceivedResponse = { status: stored.status, fields: merged, requestMillis, responseMillis };
  const response: StoredResponse = {
    ...stored,
    fields,
    lastModifiedMillis: lastModifiedMillisOf(received),
    requestMillis,
    responseMillis,
    initialAgeMillis: initialAge({ ...notModified, fields: from304 }),
    freshness: kept ? stored.freshness : freshnessOf(received, effective, policy),
    purgeNumber,
    tags: tags.length === 0 ? stored.tags : tags,
  };
  if (!kept && directives.noStore && !directives.mustUnderstand)
    return { kind: 'used-once', response, why: 'no-store' };
  if (!kept && directives.private) return { kind: 'used-once', response, why: 'private' };
  return { kind: 'freshened', response };
}

/**
 * Whether a 200 to a HEAD speaks of the stored response (RFC 9111 §4.3.5): `same` when every validator and the length
 * that it gives agree, `other` when one does not, `unknown` when it gives no validator that could tell.
 */
export function headSpeaksOf(
  stored: StoredResponse,
  fields: Fields,
  contentLength: number | undefined,
): 'same' | 'other' | 'unknown' {
  if (contentLength !== undefined && stored.bodyLength >= 0 && contentLength !== stored.bodyLength) return 'other';
  const etag = fields.get('etag');
  const bothTagged = etag !== undefined && stored.etag !== undefined;
  if (bothTagged && etag !== stored.etag) return 'other';
  const modified = fields.get('last-modified');
  const storedModified = new Fields([...stored.fields]).get('last-modified');
  const bothDated = modified !== undefined && storedModified !== undefined;
  if (bothDated && modified !== storedModified) return 'other';
  return bothTagged || bothDated ? 'same' : 'unknown';
}

/** Whether the 304 names other selecting fields than those that the stored variant was filed under. */
function varies(fields: Fields, stored: StoredResponse, policy: CachePolicy): boolean {
  if (!fields.has('vary')) return false;
  const vary = varyOf(fields, policy.ignoredRequestFields);
  return vary.kind === 'star' || vary.names.join() !== stored.vary.join();
}
