/**
 * From a request target to an S3 key and back. A path is decoded exactly once, byte for byte: `//`, `%2B` and spaces
 * name what the bucket holds (RFC 3986 §2.4). The query and every other part of the request never reach S3. Pure.
 */
import type { Outcome } from '../runtime/outcome.ts';

/** S3's longest key. */
const KEY_BYTES = 1024;

export type BadTarget = 'malformed' | 'control-character' | 'dot-segment' | 'too-long' | 'empty';

/** The key that a request target (origin-form or absolute-form) names. */
export function objectKey(target: string): Outcome<string, BadTarget> {
  const path = pathOf(target);
  if (path === undefined) return { ok: false, reason: 'malformed' };
  let key: string;
  try {
    key = decodeURIComponent(path.slice(1));
  } catch {
    return { ok: false, reason: 'malformed' }; // Not percent-encoded UTF-8, so no key of S3.
  }
  if (key === '') return { ok: false, reason: 'empty' };
  if (/[\x00-\x1f\x7f]/.test(key)) return { ok: false, reason: 'control-character' };
  if (key.split('/').some((segment) => segment === '.' || segment === '..'))
    return { ok: false, reason: 'dot-segment' };
  if (Buffer.byteLength(key) > KEY_BYTES) return { ok: false, reason: 'too-long' };
  return { ok: true, value: key };
}

/** The path of a key, percent-encoded where a URL path needs it (RFC 3986 §3.3); `objectKey` gives the key back. */
export function pathOfKey(key: string): string {
  const encoded = encodeURIComponent(key).replace(/%(2F|24|26|2B|2C|3A|3B|3D|40)/g, (triplet) =>
    decodeURIComponent(triplet),
  );
  return `/${encoded}`;
}

function pathOf(target: string): string | undefined {
  const absolute = /^https?:\/\/[^/?#]*(.*)$/i.exec(target);
  const rest = absolute === null ? target : absolute[1] === '' ? '/' : absolute[1]!;
  const path = rest.split('?', 1)[0]!;
  return path.startsWith('/') && !path.includes('#') ? path : undefined;
}
