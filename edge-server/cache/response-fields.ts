/**
 * Which fields of an upstream response are kept, sent, and merged: hop-by-hop removal (RFC 9110 §7.6.1, RFC 9111
 * §3.1), freshening by a 304 (RFC 9111 §3.2), the fields of our own 304 (RFC 9110 §15.4.5), tags, odd bytes.
 * Pure; gives flat lists in the shape of `Fields.flat`.
 */
import { remembering } from '../../runtime/recent.ts';
import { Fields } from '../http/fields.ts';

/** Of the connection, not of the response. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
]);

/** Connection may not take these away: an attacker's way to make a private response look public (conventions §1). */
const PROTECTED = new Set(['cache-control', 'cdn-cache-control', 'authorization', 'age', 'host', 'vary', 'set-cookie']);

const SURROGATE = new Set(['surrogate-control', 'surrogate-key', 'cache-tag']);

/** Describe the stored body: a 304 has no say in them (RFC 9111 §3.2; a changed Content-Encoding would break the body). */
const OF_THE_BODY = new Set(['content-encoding', 'content-length', 'content-range', 'content-type', 'etag', 'vary']);

const NOTHING: ReadonlySet<string> = new Set();

/** Names in a Connection field's lines that it may take away, beside the fixed ones. */
export function namedByConnection(fields: Fields): ReadonlySet<string> {
  if (!fields.has('connection')) return NOTHING;
  const named = new Set<string>();
  for (const line of fields.lines('connection'))
    for (const option of line.split(',')) {
      const name = option.trim().toLowerCase();
      if (name !== '' && !PROTECTED.has(name)) named.add(name);
    }
  return named;
}

/** True for a field of the connection, whatever Connection says. */
export function hopByHop(name: string): boolean {
  return HOP_BY_HOP.has(name);
}

/**
 * An upstream response's end-to-end fields with sendable values; also without Content-Length, which `ResponseHead`
 * carries as a number. What is forwarded to a client, stored or not.
 */
export function endToEndFields(fields: Fields): Fields {
  const named = namedByConnection(fields);
  const { flat } = fields;
  const kept: string[] = [];
  for (let i = 0; i < flat.length; i += 2) {
    const name = flat[i]!;
    if (endToEndName(name) === 'yes' && !named.has(name)) kept.push(name, sendableValue(flat[i + 1]!));
  }
  return new Fields(kept);
}

/** Whether a field of this name goes beyond the connection. */
const endToEndName = remembering(2_000, (name) =>
  HOP_BY_HOP.has(name) || name === 'content-length' || !fieldName(name) ? 'no' : 'yes',
);

/** What is not kept of a response, beside hop-by-hop fields. */
export interface Omissions {
  /** Named by no-cache="…" or private="…". */
  readonly omittedFields: readonly string[];
  readonly stripSetCookie: boolean;
  readonly forwardSurrogateFields: boolean;
  /** The response is a 206: its Content-Range is of one part, not of what is stored. */
  readonly partial: boolean;
}

/** The fields that a stored response keeps: end-to-end, without Age, which is counted anew at each use. */
export function storedFields(fields: Fields, omissions: Omissions): string[] {
  const { flat } = endToEndFields(fields);
  const kept: string[] = [];
  for (let i = 0; i < flat.length; i += 2) if (!omitted(flat[i]!, omissions)) kept.push(flat[i]!, flat[i + 1]!);
  return kept;
}

/** A forwarded, not stored response's fields: without what is meant for surrogates only. */
export function clientFields(fields: Fields, forwardSurrogateFields: boolean): Fields {
  const kept = endToEndFields(fields);
  if (!forwardSurrogateFields) for (const name of SURROGATE) if (kept.has(name)) kept.delete(name);
  return kept;
}

/**
 * Whether a response may hold fields for the client that asked which are not for others: a cookie, or what no-cache="…"
 * or private="…" name. `false` is certain.
 */
export function mayHoldOwnFields({ flat }: Fields): boolean {
  for (let i = 0; i < flat.length; i += 2) {
    const name = flat[i]!;
    if (name === 'set-cookie' || name === 'set-cookie2') return true;
    if ((name.endsWith('cache-control') || name === 'surrogate-control') && flat[i + 1]!.includes('"')) return true;
  }
  return false;
}

/**
 * Stored fields freshened by a 304: each field that the 304 carries replaces all lines of that name; what describes
 * the body stays. Omitted fields stay omitted.
 */
export function freshenedFields(stored: readonly string[], from304: Fields, omissions: Omissions): string[] {
  const fresh = endToEndFields(from304);
  const replaced = new Set<string>();
  for (const [name] of fresh) if (!OF_THE_BODY.has(name)) replaced.add(name);
  const merged: string[] = [];
  for (let i = 0; i < stored.length; i += 2) {
    const name = stored[i]!;
    if (!replaced.has(name) && !omissions.omittedFields.includes(name)) merged.push(name, stored[i + 1]!);
  }
  for (const [name, value] of fresh) if (replaced.has(name) && !omitted(name, omissions)) merged.push(name, value);
  return merged;
}

const SENT_WITH_304 = new Set([
  'cache-control',
  'cdn-cache-control',
  'content-location',
  'date',
  'etag',
  'expires',
  'vary',
  // Not representation metadata, and browsers check them on the 304 too.
  'access-control-allow-credentials',
  'access-control-allow-origin',
  'access-control-expose-headers',
  'cross-origin-resource-policy',
  'timing-allow-origin',
]);

/** The stored fields that our own 304 carries (RFC 9110 §15.4.5); Last-Modified only where there is no ETag. */
export function notModifiedFields(stored: readonly string[]): string[] {
  const kept: string[] = [];
  const tagged = has(stored, 'etag');
  for (let i = 0; i < stored.length; i += 2) {
    const name = stored[i]!;
    if (SENT_WITH_304.has(name) || (name === 'last-modified' && !tagged)) kept.push(name, stored[i + 1]!);
  }
  return kept;
}

/** The stored fields of a 206: exactly one Content-Range, ours. `contentType` replaces the stored one for multipart. */
export function partialFields(
  stored: readonly string[],
  contentRange: string | undefined,
  contentType?: string,
): string[] {
  const kept: string[] = [];
  for (let i = 0; i < stored.length; i += 2) {
    const name = stored[i]!;
    if (name === 'content-range' || (contentType !== undefined && name === 'content-type')) continue;
    kept.push(name, stored[i + 1]!);
  }
  if (contentRange !== undefined) kept.push('content-range', contentRange);
  if (contentType !== undefined) kept.push('content-type', contentType);
  return kept;
}

const MOST_TAGS = 1_000;

/** Tags from Surrogate-Key (spaces), Cache-Tag (commas) and Cache-Groups (RFC 9875: a list of strings), without repeats. */
export function tagsOf(fields: Fields): string[] {
  if (!fields.has('surrogate-key') && !fields.has('cache-tag') && !fields.has('cache-groups')) return [];
  const tags = new Set<string>();
  for (const line of fields.lines('surrogate-key')) for (const tag of line.split(/\s+/)) tags.add(tag);
  for (const line of fields.lines('cache-tag')) for (const tag of line.split(',')) tags.add(tag.trim());
  for (const line of fields.lines('cache-groups'))
    for (const match of line.matchAll(/"((?:[^"\\]|\\["\\])*)"/g)) tags.add(match[1]!.replace(/\\(["\\])/g, '$1'));
  tags.delete('');
  return [...tags].slice(0, MOST_TAGS);
}

/** A value that every protocol can send: no control characters (each becomes a space), nothing beyond Latin-1, trimmed. */
export function sendableValue(value: string): string {
  if (!/[^\t\x20-\x7e\x80-\xff]/.test(value)) return value;
  return value
    .replace(/[\0-\x08\x0a-\x1f\x7f]+/g, ' ')
    .replace(/[^\t\x20-\x7e\x80-\xff]/g, '?')
    .trim();
}

function fieldName(name: string): boolean {
  return /^[!#$%&'*+\-.^_`|~\da-z]+$/.test(name);
}

function omitted(name: string, omissions: Omissions): boolean {
  if (name === 'age' || omissions.omittedFields.includes(name)) return true;
  if (name === 'set-cookie' || name === 'set-cookie2') return omissions.stripSetCookie;
  if (SURROGATE.has(name)) return !omissions.forwardSurrogateFields;
  return name === 'content-range' && omissions.partial;
}

function has(flat: readonly string[], name: string): boolean {
  for (let i = 0; i < flat.length; i += 2) if (flat[i] === name) return true;
  return false;
}
