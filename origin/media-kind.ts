/** What an object is by its name: the media type where S3 knows none, and which cache default applies. Pure. */

export type MediaKind = 'playlist' | 'media' | 'other';

const TYPES: Readonly<Record<string, readonly [type: string, kind: MediaKind]>> = {
  m3u8: ['application/vnd.apple.mpegurl', 'playlist'],
  mpd: ['application/dash+xml', 'playlist'],
  mp4: ['video/mp4', 'media'],
  m4v: ['video/mp4', 'media'],
  m4s: ['video/iso.segment', 'media'],
  cmfv: ['video/mp4', 'media'],
  cmfa: ['audio/mp4', 'media'],
  m4a: ['audio/mp4', 'media'],
  ts: ['video/mp2t', 'media'],
  webm: ['video/webm', 'media'],
  mkv: ['video/matroska', 'media'],
  aac: ['audio/aac', 'media'],
  mp3: ['audio/mpeg', 'media'],
  vtt: ['text/vtt; charset=utf-8', 'media'],
  srt: ['application/x-subrip', 'media'],
  ttml: ['application/ttml+xml', 'media'],
  jpg: ['image/jpeg', 'media'],
  jpeg: ['image/jpeg', 'media'],
  png: ['image/png', 'media'],
  webp: ['image/webp', 'media'],
  avif: ['image/avif', 'media'],
  html: ['text/html; charset=utf-8', 'other'],
  css: ['text/css; charset=utf-8', 'other'],
  js: ['text/javascript; charset=utf-8', 'other'],
  json: ['application/json', 'other'],
  txt: ['text/plain; charset=utf-8', 'other'],
  xml: ['application/xml', 'other'],
  svg: ['image/svg+xml', 'other'],
};

const FALLBACK = 'application/octet-stream';
/** What S3 services say of an object that was uploaded without a type. */
const UNTYPED = new Set(['', FALLBACK, 'binary/octet-stream', 'application/x-www-form-urlencoded']);

/** The object's own type, unless it says nothing; then the one of its extension. */
export function contentType(key: string, stored: string | undefined): string {
  if (stored !== undefined && !UNTYPED.has(stored.toLowerCase())) return stored;
  return TYPES[extension(key)]?.[0] ?? FALLBACK;
}

export function mediaKind(key: string): MediaKind {
  return TYPES[extension(key)]?.[1] ?? 'other';
}

function extension(key: string): string {
  const name = key.slice(key.lastIndexOf('/') + 1);
  const dot = name.lastIndexOf('.');
  const found = dot < 0 ? '' : name.slice(dot + 1).toLowerCase();
  return Object.hasOwn(TYPES, found) ? found : '';
}
