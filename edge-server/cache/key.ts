/**
 * Cache keys: the canonical URL of a request. Two targets have one key only when RFC 3986 §6.2.2 or the service's
 * query rule says that they are the same; the origin is asked for that very URL, so key, access rule and origin see
 * one thing. A target that will not normalise is refused (400) and never guessed at.
 */
import { remembering } from '../../runtime/recent.ts';

/** Which part of the query is in the key, and with it in the request to the origin. */
export type QueryRule =
  | { readonly kind: 'keep' }
  | { readonly kind: 'drop' }
  /** Parameters in order of their names; equal names stay in their order. */
  | { readonly kind: 'sort' }
  /** Only these parameters, sorted. Names as they stand in a normalised query. */
  | { readonly kind: 'only'; readonly names: ReadonlySet<string> }
  /** All but these, in their order: a signed URL's token, tracking parameters. */
  | { readonly kind: 'except'; readonly names: ReadonlySet<string> };

export interface KeyRule {
  readonly query: QueryRule;
  /** When set, stands in the key instead of the host that the client named: a service with many names. Lower case. */
  readonly canonicalHost?: string | undefined;
}

export interface KeyParts {
  readonly scheme: 'http' | 'https';
  /** The Host field or `:authority`, as sent. */
  readonly authority: string;
  /** Origin-form, as sent. */
  readonly target: string;
}

export interface CacheKey {
  readonly ok: true;
  /** The whole key; the same string as `url`. */
  readonly key: string;
  /** Canonical URL: `scheme://host/path?query`. */
  readonly url: string;
  /** Lower case, without the default port. */
  readonly host: string;
  /** Normalised, starts with `/`. */
  readonly path: string;
  /** After the rule, without `?`; `undefined` when there is none. */
  readonly query: string | undefined;
}

export type KeyRefusal =
  | 'authority'
  | 'not-origin-form'
  | 'fragment'
  | 'backslash'
  | 'control'
  | 'non-ascii'
  | 'percent-encoding';

export type CacheKeyOutcome = CacheKey | { readonly ok: false; readonly reason: KeyRefusal };

/** Unreserved of RFC 3986 §2.3, also when percent-encoded. */
const UNRESERVED = 1;
/** Stands in a path as it is. */
const PATH = 2;
/** Stands in a query as it is. */
const QUERY = 4;
const CLASS = characterClasses();

const SLASH = 0x2f;
const DOT = 0x2e;
const PERCENT = 0x25;

/** The key of a request. A target that is already normal costs one scan and the key string. */
export function cacheKey(parts: KeyParts, rule: KeyRule): CacheKeyOutcome {
  const host = rule.canonicalHost ?? canonicalHost(parts.authority, parts.scheme);
  if (host === undefined) return { ok: false, reason: 'authority' };
  const { target } = parts;
  if (target.charCodeAt(0) !== SLASH) return { ok: false, reason: 'not-origin-form' };

  const normalUpTo = plainPathLength(target);
  if (normalUpTo === target.length) return keyOf(parts.scheme, host, target, undefined);

  const question = target.indexOf('?');
  const rawPath = question < 0 ? target : target.slice(0, question);
  let path = rawPath;
  if (normalUpTo !== rawPath.length) {
    const refusal = unusable(rawPath, true);
    if (refusal !== undefined) return { ok: false, reason: refusal };
    path = withoutDotSegments(normalEncoding(rawPath, PATH));
  }
  if (question < 0) return keyOf(parts.scheme, host, path, undefined);
  const rawQuery = target.slice(question + 1);
  const refusal = unusable(rawQuery, false);
  if (refusal !== undefined) return { ok: false, reason: refusal };
  return keyOf(parts.scheme, host, path, ruledQuery(normalEncoding(rawQuery, QUERY), rule.query));
}

/** The key of an absolute `http` or `https` URL: for purges, fills and invalidation by Location. */
export function cacheKeyOfUrl(url: string, rule: KeyRule): CacheKeyOutcome {
  const match = /^(https?):\/\/([^/?#]*)([^#]*)$/i.exec(url);
  if (match === null) return { ok: false, reason: url.includes('#') ? 'fragment' : 'not-origin-form' };
  const scheme = match[1]!.toLowerCase() as 'http' | 'https';
  const rest = match[3]!;
  return cacheKey({ scheme, authority: match[2]!, target: rest.startsWith('/') ? rest : `/${rest}` }, rule);
}

/**
 * Host in lower case without the default port (RFC 9110 §4.2.3), an empty port or a final dot; `undefined` for what is not a host.
 * The usual `name` or `name:port` in lower case is recognised without an expression.
 */
export function canonicalHost(authority: string, scheme: 'http' | 'https'): string | undefined {
  if (plainHost(authority)) return authority;
  return scheme === 'https' ? canonicalHttps(authority) : canonicalHttp(authority);
}

const canonicalHttp = remembering(500, (authority) => canonicalOf(authority, 80));
const canonicalHttps = remembering(500, (authority) => canonicalOf(authority, 443));

function canonicalOf(authority: string, defaultPort: number): string | undefined {
  const match = /^([A-Za-z\d\-._~!$&'()*+;=]+|\[[\dA-Fa-f:.]+\])(?::(\d{0,5}))?$/.exec(authority);
  if (match === null) return undefined;
  const name = match[1]!.toLowerCase().replace(/\.$/, '');
  if (name === '') return undefined;
  if (match[2] === undefined || match[2] === '') return name;
  const port = Number(match[2]);
  if (port > 65_535) return undefined;
  return port === defaultPort ? name : `${name}:${port}`;
}

function keyOf(scheme: 'http' | 'https', host: string, path: string, query: string | undefined): CacheKey {
  const url = query === undefined ? `${scheme}://${host}${path}` : `${scheme}://${host}${path}?${query}`;
  return { ok: true, key: url, url, host, path, query };
}

/** Length of the leading part that is a path in normal form; stops at `?` and at whatever needs the slow way. */
function plainPathLength(target: string): number {
  for (let i = 0; i < target.length; i++) {
    const code = target.charCodeAt(i);
    if (code > 0x7e || (CLASS[code]! & PATH) === 0) return i;
    // A segment that starts with a dot may be a dot segment.
    if (code === DOT && target.charCodeAt(i - 1) === SLASH) return i;
  }
  return target.length;
}

function plainHost(authority: string): boolean {
  const { length } = authority;
  if (length === 0 || authority.charCodeAt(length - 1) === DOT) return false;
  for (let i = 0; i < length; i++) {
    const code = authority.charCodeAt(i);
    const letter = code >= 0x61 && code <= 0x7a;
    if (!letter && !(code >= 0x30 && code <= 0x39) && code !== DOT && code !== 0x2d) return false;
  }
  return true;
}

/** Why a path or query can't be in a URL, however it is encoded. An encoded NUL never names a file. */
function unusable(text: string, isPath: boolean): KeyRefusal | undefined {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code <= 0x20 || code === 0x7f) return 'control';
    if (code > 0x7f) return 'non-ascii';
    if (code === 0x23) return 'fragment';
    if (!isPath) continue;
    if (code === 0x5c) return 'backslash';
    if (code !== PERCENT) continue;
    const byte = encodedByte(text, i);
    if (byte < 0) return 'percent-encoding';
    if (byte === 0) return 'control';
  }
  return undefined;
}

/**
 * Percent-encoding in normal form (RFC 3986 §6.2.2.1-2): unreserved decoded, hex in upper case, what may not stand raw
 * encoded. `%2f` stays. A stray `%` in a query is the character itself: `%25`.
 */
function normalEncoding(text: string, allowed: number): string {
  let normal = '';
  let copied = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code !== PERCENT) {
      if ((CLASS[code]! & allowed) !== 0) continue;
      normal += text.slice(copied, i) + encoded(code);
      copied = i + 1;
      continue;
    }
    const byte = encodedByte(text, i);
    if (byte < 0) {
      normal += `${text.slice(copied, i)}%25`;
      copied = i + 1;
      continue;
    }
    normal += text.slice(copied, i);
    normal += byte < 0x80 && (CLASS[byte]! & UNRESERVED) !== 0 ? String.fromCharCode(byte) : encoded(byte);
    i += 2;
    copied = i + 1;
  }
  return copied === 0 ? text : normal + text.slice(copied);
}

/** RFC 3986 §5.2.4 on an absolute path. Empty segments stay: `//x` and `/x` are two keys. */
function withoutDotSegments(path: string): string {
  if (!path.includes('/.')) return path;
  const segments = path.split('/');
  const kept: string[] = [];
  for (let i = 1; i < segments.length; i++) {
    const segment = segments[i]!;
    const last = i === segments.length - 1;
    if (segment === '.' || segment === '..') {
      if (segment === '..') kept.pop();
      if (last) kept.push('');
    } else kept.push(segment);
  }
  return `/${kept.join('/')}`;
}

/** The query under a rule; `undefined` for none. An empty query (`/?`) differs from none only when all is kept. */
function ruledQuery(query: string, rule: QueryRule): string | undefined {
  if (rule.kind === 'keep') return query;
  if (rule.kind === 'drop') return undefined;
  let parameters = query.split('&').filter((parameter) => parameter !== '');
  if (rule.kind === 'only') parameters = parameters.filter((parameter) => rule.names.has(nameOf(parameter)));
  if (rule.kind === 'except') parameters = parameters.filter((parameter) => !rule.names.has(nameOf(parameter)));
  else parameters.sort((a, b) => order(nameOf(a), nameOf(b)));
  return parameters.length === 0 ? undefined : parameters.join('&');
}

function nameOf(parameter: string): string {
  const equals = parameter.indexOf('=');
  return equals < 0 ? parameter : parameter.slice(0, equals);
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The byte that `%XX` at `at` stands for; -1 when it is not one. */
function encodedByte(text: string, at: number): number {
  const high = hex(text.charCodeAt(at + 1));
  const low = hex(text.charCodeAt(at + 2));
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

function hex(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  if (code >= 0x41 && code <= 0x46) return code - 0x37;
  if (code >= 0x61 && code <= 0x66) return code - 0x57;
  return -1;
}

function encoded(byte: number): string {
  return `%${byte < 16 ? '0' : ''}${byte.toString(16).toUpperCase()}`;
}

function characterClasses(): Uint8Array {
  const classes = new Uint8Array(128);
  const mark = (characters: string, bits: number) => {
    for (const character of characters) classes[character.charCodeAt(0)]! |= bits;
  };
  const alphanumeric = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';
  mark(`${alphanumeric}-._~`, UNRESERVED | PATH | QUERY);
  mark("!$&'()*+,;=:@/", PATH | QUERY);
  mark('?', QUERY);
  return classes;
}
