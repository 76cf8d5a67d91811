/**
 * Cache-Control (RFC 9111 §5.2) of responses and requests. Lenient in reading, cautious in meaning: what restricts is
 * honoured even when it is written badly, what permits must be written well. Several lines count as one list.
 * Targeted fields (RFC 9213) are in `targeted.ts` and give the same `ResponseDirectives`.
 */
import { remembering } from '../../runtime/recent.ts';
import type { Fields } from '../http/fields.ts';

/** What a response's Cache-Control says. Durations in milliseconds; `undefined`: not said. */
export interface ResponseDirectives {
  noStore: boolean;
  /** Unqualified no-cache: each use needs validation. */
  noCache: boolean;
  /** Unqualified private: a shared cache stores nothing. */
  private: boolean;
  /** Fields named by no-cache="…" and private="…", lower case, from all occurrences: not stored here. */
  omittedFields: string[];
  public: boolean;
  mustRevalidate: boolean;
  proxyRevalidate: boolean;
  mustUnderstand: boolean;
  noTransform: boolean;
  immutable: boolean;
  /** Malformed counts as 0 (RFC 9111 §4.2.1: consider it stale); of several, the first. */
  maxAgeMillis: number | undefined;
  sharedMaxAgeMillis: number | undefined;
  staleWhileRevalidateMillis: number | undefined;
  staleIfErrorMillis: number | undefined;
}

/** What a request's Cache-Control says. */
export interface RequestDirectives {
  readonly noCache: boolean;
  readonly noStore: boolean;
  readonly onlyIfCached: boolean;
  readonly maxAgeMillis: number | undefined;
  /** `Infinity` for a bare max-stale. */
  readonly maxStaleMillis: number | undefined;
  readonly minFreshMillis: number | undefined;
  readonly staleIfErrorMillis: number | undefined;
}

/** Larger delta-seconds count as this (RFC 9111 §1.2.2). */
const MOST_SECONDS = 2 ** 31;

/** A fresh record in which nothing is said. */
export function noDirectives(): ResponseDirectives {
  return {
    noStore: false,
    noCache: false,
    private: false,
    omittedFields: [],
    public: false,
    mustRevalidate: false,
    proxyRevalidate: false,
    mustUnderstand: false,
    noTransform: false,
    immutable: false,
    maxAgeMillis: undefined,
    sharedMaxAgeMillis: undefined,
    staleWhileRevalidateMillis: undefined,
    staleIfErrorMillis: undefined,
  };
}

const NOTHING_SAID: ResponseDirectives = noDirectives();

/** Reads a response's Cache-Control lines; `field` lets Surrogate-Control use the same grammar. */
export function responseDirectives(fields: Fields, field = 'cache-control'): ResponseDirectives {
  const text = fields.get(field);
  return text === undefined ? NOTHING_SAID : saidBy(text);
}

/** Most origins say the same few things: each is read once. Nobody changes what is given out. */
const saidBy = remembering(500, (text): ResponseDirectives => {
  const said = noDirectives();
  for (const { name, value, quoted } of directives(text)) applyDirective(said, name, value, quoted);
  return said;
});

/** Reads a request's Cache-Control; `undefined` when it has none, which is the common case. */
export function requestDirectives(fields: Fields): RequestDirectives | undefined {
  const text = fields.get('cache-control');
  if (text === undefined) return undefined;
  const values = new Map<string, string | undefined>();
  for (const { name, value } of directives(text)) if (!values.has(name)) values.set(name, value);
  const staleValue = values.get('max-stale');
  return {
    noCache: values.has('no-cache'),
    noStore: values.has('no-store'),
    onlyIfCached: values.has('only-if-cached'),
    maxAgeMillis: values.has('max-age') ? (deltaMillis(values.get('max-age')) ?? 0) : undefined,
    maxStaleMillis:
      values.has('max-stale') && staleValue === undefined ? Number.POSITIVE_INFINITY : deltaMillis(staleValue),
    minFreshMillis: deltaMillis(values.get('min-fresh')),
    staleIfErrorMillis: deltaMillis(values.get('stale-if-error')),
  };
}

/** delta-seconds as milliseconds, saturating at 2^31 seconds; `undefined` for what is not all digits. */
export function deltaMillis(value: string | undefined): number | undefined {
  if (value === undefined || !/^\d+$/.test(value)) return undefined;
  return Math.min(Number(value), MOST_SECONDS) * 1000;
}

/** Adds one directive to what a response says. Unknown names say nothing. */
export function applyDirective(
  said: ResponseDirectives,
  name: string,
  value: string | undefined,
  quoted: boolean,
): void {
  switch (name) {
    case 'no-store':
      said.noStore = true;
      return;
    case 'no-cache':
      if (!omit(said, value, quoted)) said.noCache = true;
      return;
    case 'private':
      if (!omit(said, value, quoted)) said.private = true;
      return;
    case 'public':
      said.public = true;
      return;
    case 'must-revalidate':
      said.mustRevalidate = true;
      return;
    case 'proxy-revalidate':
      said.proxyRevalidate = true;
      return;
    case 'must-understand':
      said.mustUnderstand = true;
      return;
    case 'no-transform':
      said.noTransform = true;
      return;
    case 'immutable':
      said.immutable = true;
      return;
    case 'max-age':
      said.maxAgeMillis ??= deltaMillis(value) ?? 0;
      return;
    case 's-maxage':
      said.sharedMaxAgeMillis ??= deltaMillis(value) ?? 0;
      return;
    case 'stale-while-revalidate':
      said.staleWhileRevalidateMillis ??= deltaMillis(value);
      return;
    case 'stale-if-error':
      said.staleIfErrorMillis ??= deltaMillis(value);
      return;
  }
}

/** A qualified no-cache or private adds its fields; anything but a quoted, non-empty list of names is unqualified. */
function omit(said: ResponseDirectives, value: string | undefined, quoted: boolean): boolean {
  if (value === undefined || !quoted) return false;
  const names = value
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '');
  if (names.length === 0 || !names.every((name) => TOKEN.test(name))) return false;
  said.omittedFields.push(...names);
  return true;
}

interface Directive {
  /** Lower case. */
  readonly name: string;
  readonly value: string | undefined;
  /** Whether the value was a whole quoted-string, unescaped here. */
  readonly quoted: boolean;
}

const TOKEN = /^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/;

/** Members of the list. A member's name is its leading token, so `no-store;x` still forbids. */
function directives(text: string): Directive[] {
  const found: Directive[] = [];
  for (const part of members(text)) {
    const member = part.trim();
    const name = /^[!#$%&'*+\-.^_`|~\dA-Za-z]+/.exec(member)?.[0];
    if (name === undefined) continue;
    const rest = member.slice(name.length);
    if (rest === '') found.push({ name: name.toLowerCase(), value: undefined, quoted: false });
    else found.push({ name: name.toLowerCase(), ...argument(rest) });
  }
  return found;
}

/** What follows the name. Junk stays in the value, so that a number with it is malformed and a list unqualified. */
function argument(rest: string): { value: string; quoted: boolean } {
  if (!rest.startsWith('=')) return { value: rest, quoted: false };
  const value = rest.slice(1);
  if (value.length >= 2 && value.startsWith('"') && quoteEnd(value, 0) === value.length - 1)
    return { value: value.slice(1, -1).replace(/\\(.)/g, '$1'), quoted: true };
  return { value, quoted: false };
}

/** Splits at commas outside quoted strings. From a quote that never closes on, quotes are ordinary: nothing hides behind it. */
function members(text: string): string[] {
  const parts: string[] = [];
  let quotes = true;
  let start = 0;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === ',') {
      parts.push(text.slice(start, at));
      start = at + 1;
    } else if (character === '"' && quotes) {
      const close = quoteEnd(text, at);
      if (close < 0) quotes = false;
      else at = close;
    }
  }
  parts.push(text.slice(start));
  return parts;
}

/** Position of the quote that closes the one at `open`; -1 when none does. */
function quoteEnd(text: string, open: number): number {
  for (let at = open + 1; at < text.length; at++) {
    if (text[at] === '\\') at++;
    else if (text[at] === '"') return at;
  }
  return -1;
}
