/** The fields of an answer with an object: what the object carries, else defaults by its kind. Pure. */
import { contentType, mediaKind } from './media-kind.ts';
import type { ObjectHead } from './object-store.ts';

export interface CacheDefaults {
  readonly playlistCacheControl: string;
  readonly mediaCacheControl: string;
  readonly otherCacheControl: string;
}

/** A page of any site may play the content and read how it was served. */
export const OPEN_FIELDS = {
  'access-control-allow-origin': '*',
  'access-control-expose-headers':
    'Age, Cache-Status, Content-Length, Content-Range, Date, ETag, Repr-Digest, Server-Timing, Via',
  'timing-allow-origin': '*',
} as const;

export const PREFLIGHT_FIELDS = {
  ...OPEN_FIELDS,
  'access-control-allow-methods': 'GET, HEAD, OPTIONS',
  'access-control-allow-headers': 'Range, If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, If-Range',
  'access-control-max-age': '86400',
} as const;

/** Fields of a 200, 206 or 304 about this object. `sha256` is the whole object's, where it is known. */
export function objectFields(
  key: string,
  head: ObjectHead,
  sha256: string | undefined,
  defaults: CacheDefaults,
): Record<string, string> {
  const fields: Record<string, string> = {
    ...OPEN_FIELDS,
    'content-type': contentType(key, head.contentType),
    'cache-control': head.cacheControl ?? defaultCacheControl(key, defaults),
    etag: head.etag,
    'last-modified': new Date(head.lastModifiedMillis).toUTCString(),
    'accept-ranges': 'bytes',
  };
  if (head.contentEncoding !== undefined && head.contentEncoding !== '')
    fields['content-encoding'] = head.contentEncoding;
  if (head.contentDisposition !== undefined) fields['content-disposition'] = head.contentDisposition;
  if (head.contentLanguage !== undefined) fields['content-language'] = head.contentLanguage;
  if (head.contentRange !== undefined) fields['content-range'] = head.contentRange;
  // RFC 9530: the digest of the whole representation.
  else if (sha256 !== undefined) fields['repr-digest'] = `sha-256=:${Buffer.from(sha256, 'hex').toString('base64')}:`;
  return fields;
}

function defaultCacheControl(key: string, defaults: CacheDefaults): string {
  const kind = mediaKind(key);
  switch (kind) {
    case 'playlist':
      return defaults.playlistCacheControl;
    case 'media':
      return defaults.mediaCacheControl;
    default:
      return defaults.otherCacheControl;
  }
}
