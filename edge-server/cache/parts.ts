/**
 * Whether what the origin sent for one range belongs to the stored representation that is being filled
 * (RFC 9110 §15.3.7.3, RFC 9111 §3.4). Two versions are never mixed in one body: whatever is not surely the same ends
 * the fill, and says how.
 */
import { parseHttpDate } from '../http/dates.ts';
import { strongDate, strongMatch } from '../http/preconditions.ts';
import { type ByteRange, parseContentRange } from '../http/ranges.ts';
import type { ReceivedResponse } from './freshness.ts';
import type { StoredResponse } from './stored-response.ts';

export type PartOutcome =
  | { readonly kind: 'part' }
  /** A 200: the origin ignores ranges, or If-Range told it that its version is another. Its body starts at 0. */
  | { readonly kind: 'whole'; readonly same: boolean }
  /** The representation is another now: drop what is stored of the old one. */
  | { readonly kind: 'changed'; readonly why: 'validator' | 'length' | 'shrunk' }
  /** An answer that says nothing about the representation (error, redirect), or not the range that was asked for. */
  | { readonly kind: 'unusable'; readonly why: 'status' | 'content-range' | 'other-range' };

/** Judges an upstream answer to a request for `asked` (inclusive) of `stored`. */
export function partOf(stored: StoredResponse, response: ReceivedResponse, asked: ByteRange): PartOutcome {
  const same = sameVersion(stored, response);
  if (response.status === 200) return { kind: 'whole', same };
  if (response.status === 416) return { kind: 'changed', why: 'shrunk' };
  if (response.status !== 206) return { kind: 'unusable', why: 'status' };
  if (!same) return { kind: 'changed', why: 'validator' };
  const range = parseContentRange(response.fields.get('content-range'));
  if (range?.kind !== 'range') return { kind: 'unusable', why: 'content-range' };
  if (range.length !== undefined && range.length !== stored.bodyLength) return { kind: 'changed', why: 'length' };
  const whole = range.start === asked.start && range.end === Math.min(asked.end, stored.bodyLength - 1);
  return whole ? { kind: 'part' } : { kind: 'unusable', why: 'other-range' };
}

/** The strong ETag where there is one, else the very same Last-Modified. */
function sameVersion(stored: StoredResponse, response: ReceivedResponse): boolean {
  const etag = response.fields.get('etag');
  if (stored.etag !== undefined || etag !== undefined)
    return stored.etag !== undefined && etag !== undefined && strongMatch(etag, stored.etag);
  const modified = response.fields.get('last-modified');
  if (modified === undefined || stored.lastModifiedMillis === undefined) return false;
  return parseHttpDate(modified, response.responseMillis) === stored.lastModifiedMillis;
}

/**
 * What to send as If-Range so that a part of another version is never sent: the strong ETag, else a Last-Modified old
 * enough to be strong, as stored (RFC 9110 §8.8.2.2).
 */
export function ifRangeOf(stored: StoredResponse): string | undefined {
  if (stored.etag !== undefined) return stored.etag.startsWith('"') ? stored.etag : undefined;
  if (encodedLoosely(stored)) return undefined;
  const { lastModifiedMillis, responseMillis, initialAgeMillis } = stored;
  if (lastModifiedMillis === undefined || !strongDate(lastModifiedMillis, responseMillis - initialAgeMillis))
    return undefined;
  for (let i = 0; i < stored.fields.length; i += 2)
    if (stored.fields[i] === 'last-modified') return stored.fields[i + 1];
  return undefined;
}

/**
 * True for a body in a content coding without a strong ETag: made on the way, here or before us, so that not even the
 * same Last-Modified says that another time brings the same bytes. No parts of it are given or fetched.
 */
export function encodedLoosely({ etag, fields }: Pick<StoredResponse, 'etag' | 'fields'>): boolean {
  if (etag?.startsWith('"') === true) return false;
  for (let i = 0; i < fields.length; i += 2) if (fields[i] === 'content-encoding') return true;
  return false;
}
