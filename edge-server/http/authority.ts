/**
 * Host and request-target rules shared by all front ends (RFC 9112 §3.2, RFC 9110 §4.2 and §7.2): what an authority
 * may look like, and how a target is taken apart. Pure. What a path means is left to the cache key.
 */

/** Why an authority is refused. */
export type AuthorityProblem = 'empty-host' | 'host-too-long' | 'host-syntax' | 'port-syntax';

const LONGEST_HOST = 255;
/** Letters, digits, `-`, `.`, `_`, `~`: stricter than a reg-name, since no host that a service could have needs more. */
const HOST_BYTE = table((code) => isDigit(code) || isLetter(code) || '-._~'.includes(String.fromCharCode(code)));
/** Inside the brackets of an IP literal. */
const LITERAL_BYTE = table((code) => isDigit(code) || isHexLetter(code) || code === 58 || code === 46);

/** `undefined` for `host`, `host:port` or `[v6]:port`; an empty port (`host:`) is allowed, user information is not. */
export function authorityProblem(authority: string): AuthorityProblem | undefined {
  const { length } = authority;
  if (length === 0) return 'empty-host';
  if (length > LONGEST_HOST + 6) return 'host-too-long';
  let at = 0;
  if (authority.charCodeAt(0) === 91 /* [ */) {
    at = 1;
    while (at < length && LITERAL_BYTE[authority.charCodeAt(at)] === 1) at++;
    if (at < 3 || authority.charCodeAt(at) !== 93 /* ] */) return 'host-syntax';
    at++;
  } else {
    while (at < length && HOST_BYTE[authority.charCodeAt(at)] === 1) at++;
    if (at === 0) return authority.charCodeAt(0) === 58 ? 'empty-host' : 'host-syntax';
    if (at > LONGEST_HOST) return 'host-too-long';
  }
  if (at === length) return undefined;
  if (authority.charCodeAt(at) !== 58 /* : */) return 'host-syntax';
  const portAt = at + 1;
  if (length - portAt > 5) return 'port-syntax';
  let port = 0;
  for (at = portAt; at < length; at++) {
    const code = authority.charCodeAt(at);
    if (!isDigit(code)) return 'port-syntax';
    port = port * 10 + (code - 48);
  }
  return port > 65_535 ? 'port-syntax' : undefined;
}

export type TargetProblem = 'target-syntax' | 'target-fragment' | 'scheme-mismatch' | AuthorityProblem;

export type RequestTarget =
  | {
      readonly kind: 'target';
      readonly target: string /** From absolute-form; overrides Host. */;
      readonly authority: string | undefined;
    }
  | { readonly kind: 'refused'; readonly reason: TargetProblem };

/**
 * Origin-form as it is, absolute-form split into authority and origin-form, `*` for OPTIONS alone. An absolute-form
 * of another scheme than the connection's is refused: it would let a cleartext client speak for `https`.
 */
export function splitTarget(method: string, raw: string, scheme: 'http' | 'https'): RequestTarget {
  for (let i = 0; i < raw.length; i++) {
    const code = raw.charCodeAt(i);
    if (code === 35 /* # */) return { kind: 'refused', reason: 'target-fragment' };
    if (code <= 32 || code >= 127) return { kind: 'refused', reason: 'target-syntax' };
  }
  if (raw.charCodeAt(0) === 47 /* / */) return { kind: 'target', target: raw, authority: undefined };
  if (raw === '*' && method === 'OPTIONS') return { kind: 'target', target: '*', authority: undefined };
  const rest = raw.indexOf('://');
  if (rest <= 0) return { kind: 'refused', reason: 'target-syntax' };
  const asked = raw.slice(0, rest).toLowerCase();
  if (asked !== 'http' && asked !== 'https') return { kind: 'refused', reason: 'target-syntax' };
  if (asked !== scheme) return { kind: 'refused', reason: 'scheme-mismatch' };
  let end = rest + 3;
  while (end < raw.length && raw.charCodeAt(end) !== 47 && raw.charCodeAt(end) !== 63) end++;
  const authority = raw.slice(rest + 3, end);
  const problem = authorityProblem(authority);
  if (problem !== undefined) return { kind: 'refused', reason: problem };
  const path = raw.slice(end);
  if (path === '' && method === 'OPTIONS') return { kind: 'target', target: '*', authority };
  return { kind: 'target', target: path.startsWith('/') ? path : `/${path}`, authority };
}

function table(allowed: (code: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, code) => (allowed(code) ? 1 : 0));
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

function isLetter(code: number): boolean {
  return (code >= 65 && code <= 90) || (code >= 97 && code <= 122);
}

function isHexLetter(code: number): boolean {
  return (code >= 65 && code <= 70) || (code >= 97 && code <= 102);
}
