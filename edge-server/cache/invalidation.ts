/**
 * Which stored responses an unsafe request makes invalid (RFC 9111 §4.4): its target, and what Location and
 * Content-Location name on the same host. An error changes nothing.
 */
import type { Fields } from '../http/fields.ts';
import { cacheKey, cacheKeyOfUrl, canonicalHost, type KeyParts, type KeyRule } from './key.ts';

const SAFE = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);

/** True for a method that may change the resource; unknown ones count as such. */
export function unsafeMethod(method: string): boolean {
  return !SAFE.has(method);
}

export interface UnsafeExchange extends KeyParts {
  readonly method: string;
  /** Status and fields of the answer. */
  readonly status: number;
  readonly fields: Fields;
}

/** The keys whose stored responses, all variants, are to be removed; none for a safe method or a status of 400 and above. */
export function invalidatedKeys(exchange: UnsafeExchange, rule: KeyRule): string[] {
  if (!unsafeMethod(exchange.method) || exchange.status < 200 || exchange.status > 399) return [];
  const target = cacheKey(exchange, rule);
  if (!target.ok) return [];
  const keys = new Set([target.key]);
  for (const name of ['location', 'content-location']) {
    const key = keyNamed(exchange.fields.get(name), exchange, rule);
    if (key !== undefined) keys.add(key);
  }
  return [...keys];
}

/** The key of a URI-reference on the request's own origin; others are not ours to invalidate. */
function keyNamed(reference: string | undefined, exchange: UnsafeExchange, rule: KeyRule): string | undefined {
  const base = `${exchange.scheme}://${exchange.authority}${exchange.target}`;
  if (reference === undefined || !URL.canParse(reference, base)) return undefined;
  const url = new URL(reference, base);
  url.hash = '';
  if (url.protocol !== `${exchange.scheme}:`) return undefined;
  if (canonicalHost(url.host, exchange.scheme) !== canonicalHost(exchange.authority, exchange.scheme)) return undefined;
  const key = cacheKeyOfUrl(url.href, rule);
  return key.ok ? key.key : undefined;
}
