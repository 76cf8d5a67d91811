/**
 * Conditional requests (RFC 9110 §13) against one stored representation, in the order of §13.2.2. The edge answers
 * with the origin's authority, so it evaluates If-Match too: a mismatch is 412 and never a 200 from the cache.
 * Pure; the caller turns `not-modified` into 304 and `failed` into 412, and looks at Range only after `proceed`.
 */
import { parseHttpDate } from './dates.ts';
import type { Fields } from './fields.ts';

/** What a precondition is compared with. */
export interface Representation {
  readonly status: number;
  /** The ETag field as stored, with its `W/`. */
  readonly etag: string | undefined;
  readonly lastModifiedMillis: number | undefined;
  /** Its Date, or when it was received. Stands in for a missing Last-Modified (RFC 9111 §4.3.2) and judges its strength. */
  readonly dateMillis: number;
}

export type PreconditionOutcome =
  | { readonly kind: 'proceed' }
  | { readonly kind: 'not-modified'; readonly by: 'if-none-match' | 'if-modified-since' }
  | { readonly kind: 'failed'; readonly by: 'if-match' | 'if-unmodified-since' };

const PROCEED: PreconditionOutcome = { kind: 'proceed' };
const NONE_MATCH: PreconditionOutcome = { kind: 'not-modified', by: 'if-none-match' };
const NOT_SINCE: PreconditionOutcome = { kind: 'not-modified', by: 'if-modified-since' };
const MATCH_FAILED: PreconditionOutcome = { kind: 'failed', by: 'if-match' };
const UNMODIFIED_FAILED: PreconditionOutcome = { kind: 'failed', by: 'if-unmodified-since' };

/** A Last-Modified this much older than Date is a strong validator (RFC 9110 §8.8.2.2). */
const STRONG_AFTER_MILLIS = 60_000;

/**
 * Evaluates a GET or HEAD request's preconditions. A stored response other than 2xx is sent as it is (§13.2.1).
 * One scan of the fields when there are none.
 */
export function preconditions(request: Fields, representation: Representation): PreconditionOutcome {
  const { flat } = request;
  let conditional = false;
  for (let i = 0; i < flat.length && !conditional; i += 2) conditional = isPrecondition(flat[i]!);
  if (!conditional || representation.status < 200 || representation.status > 299) return PROCEED;

  const ifMatch = request.get('if-match');
  if (ifMatch !== undefined) {
    if (!anyTag(ifMatch, representation.etag, strongMatch)) return MATCH_FAILED;
  } else {
    const since = date(request.get('if-unmodified-since'), representation);
    if (since !== undefined && modifiedMillis(representation) > since) return UNMODIFIED_FAILED;
  }
  const ifNoneMatch = request.get('if-none-match');
  if (ifNoneMatch !== undefined) return anyTag(ifNoneMatch, representation.etag, weakMatch) ? NONE_MATCH : PROCEED;
  const since = date(request.get('if-modified-since'), representation);
  return since !== undefined && modifiedMillis(representation) <= since ? NOT_SINCE : PROCEED;
}

/**
 * Whether a Range field is to be honoured, given the If-Range beside it (§13.1.5): strong comparison of entity tags,
 * exact comparison with a strong Last-Modified. Without If-Range it is.
 */
export function rangeApplies(ifRange: string | undefined, representation: Representation): boolean {
  if (ifRange === undefined) return true;
  const validator = ifRange.trim();
  if (validator.startsWith('"') || validator.startsWith('W/'))
    return representation.etag !== undefined && entityTag(validator) && strongMatch(validator, representation.etag);
  const { lastModifiedMillis, dateMillis } = representation;
  if (lastModifiedMillis === undefined || !strongDate(lastModifiedMillis, dateMillis)) return false;
  return parseHttpDate(validator, dateMillis) === lastModifiedMillis;
}

/** Strong comparison (§8.8.3.2): the same, and neither is weak. */
export function strongMatch(a: string, b: string): boolean {
  return a === b && a.startsWith('"');
}

/** Weak comparison (§8.8.3.2): the same but for `W/`. */
export function weakMatch(a: string, b: string): boolean {
  return opaque(a) === opaque(b);
}

/** Whether a Last-Modified is a strong validator of a response with this Date (§8.8.2.2). */
export function strongDate(lastModifiedMillis: number, dateMillis: number): boolean {
  return dateMillis - lastModifiedMillis >= STRONG_AFTER_MILLIS;
}

/** True for a syntactically whole entity-tag. */
export function entityTag(text: string): boolean {
  const start = text.startsWith('W/') ? 2 : 0;
  return text.length >= start + 2 && text[start] === '"' && text.indexOf('"', start + 1) === text.length - 1;
}

function isPrecondition(name: string): boolean {
  return (
    name.length > 7 &&
    name.startsWith('if-') &&
    (name === 'if-none-match' || name === 'if-modified-since' || name === 'if-match' || name === 'if-unmodified-since')
  );
}

function opaque(tag: string): string {
  return tag.startsWith('W/') ? tag.slice(2) : tag;
}

/** Last-Modified, else Date (RFC 9111 §4.3.2), in whole seconds since that is what clients can say. */
function modifiedMillis({ lastModifiedMillis, dateMillis }: Representation): number {
  return lastModifiedMillis ?? Math.floor(dateMillis / 1000) * 1000;
}

/** `undefined` for a missing or malformed date: the field is then ignored (§13.1.3, §13.1.4). */
function date(value: string | undefined, { dateMillis }: Representation): number | undefined {
  return value === undefined ? undefined : parseHttpDate(value, dateMillis);
}

/**
 * Whether any tag of a list matches. `*` matches any representation. The list is read until its first syntax error,
 * so a comma inside a tag is part of it and an unterminated tag matches nothing. An origin's unquoted ETag matches
 * only when a client sends back exactly that.
 */
function anyTag(list: string, etag: string | undefined, matches: (a: string, b: string) => boolean): boolean {
  const text = list.trim();
  if (text === '*') return true;
  if (etag === undefined) return false;
  if (text === etag && !entityTag(etag)) return true;
  let at = 0;
  while (at < text.length) {
    const character = text[at];
    if (character === ',' || character === ' ' || character === '\t') {
      at++;
      continue;
    }
    const quote = text.startsWith('W/', at) ? at + 2 : at;
    if (text[quote] !== '"') return false;
    const close = text.indexOf('"', quote + 1);
    if (close < 0) return false;
    if (matches(text.slice(at, close + 1), etag)) return true;
    at = close + 1;
  }
  return false;
}
