/**
 * Web cache deception: a path that ends like a static file (`/account/x.css`) brings a page (`text/html`). Where the
 * origin gives no freshness of its own, such a page is not stored; an error is, for the few seconds of negative caching. Knows extensions and types, nothing else.
 */

const TYPES: ReadonlyMap<string, RegExp> = new Map([
  ...entries('css', /^text\/css$/),
  ...entries('js mjs', /^(?:text|application)\/(?:x-)?(?:java|ecma)script$/),
  ...entries('json map', /^application\/(?:[\w.+-]*\+)?json$|^text\/json$/),
  ...entries('png jpg jpeg gif webp avif bmp ico svg tif tiff', /^image\//),
  ...entries('woff woff2 ttf otf eot', /^(?:font\/|application\/(?:x-)?(?:font|vnd\.ms-fontobject))/),
  ...entries('mp4 m4v m4s webm mov ts mkv', /^(?:video|audio)\/|^application\/mp4$/),
  ...entries('mp3 m4a aac ogg oga opus flac wav', /^(?:audio|video)\/|^application\/ogg$/),
  ...entries('m3u8', /^(?:application|audio)\/(?:vnd\.apple\.|x-)?mpegurl$/),
  ...entries('mpd', /^application\/dash\+xml$/),
  ...entries('pdf', /^application\/pdf$/),
  ...entries('zip gz tgz bz2 xz 7z rar', /^application\//),
  ...entries('txt csv', /^text\/(?:plain|csv)$/),
  ...entries('xml rss atom', /^(?:text|application)\/(?:[\w.+-]*\+)?xml$/),
]);

/** Types that say nothing about what it is. */
const NEUTRAL = new Set(['application/octet-stream', 'binary/octet-stream']);

/** True when the URL's path ends in a known extension and the Content-Type is of another kind (or missing). */
export function contradictsExtension(url: string, contentType: string | undefined): boolean {
  const path = url.split('?', 1)[0]!;
  const extension = /[^/]\.([A-Za-z\d]{1,5})$/.exec(path)?.[1]?.toLowerCase();
  const expected = extension === undefined ? undefined : TYPES.get(extension);
  if (expected === undefined) return false;
  const type = contentType?.split(';', 1)[0]?.trim().toLowerCase();
  if (type === undefined) return true;
  return !NEUTRAL.has(type) && !expected.test(type);
}

function entries(extensions: string, types: RegExp): [string, RegExp][] {
  return extensions.split(' ').map((extension) => [extension, types]);
}
