/** What the edge bench asks for, row by row. */

export interface Scenario {
  readonly name: string;
  readonly path: string;
  readonly fields: Readonly<Record<string, string>>;
  readonly status: number;
  /** `hit`: nothing may reach the origin; `miss`: every request does. */
  readonly kind: 'hit' | 'miss';
}

/** What a browser sends with every request, 400 bytes. */
const BROWSER: Readonly<Record<string, string>> = {
  accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8',
  'accept-encoding': 'gzip, deflate, br, zstd',
  'accept-language': 'en-GB,en;q=0.9',
  'sec-fetch-dest': 'video',
  'sec-fetch-mode': 'cors',
  'sec-fetch-site': 'same-site',
  referer: 'https://www.example.org/watch/4711',
  'user-agent': 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36',
};

const hit = (name: string, path: string, status = 200, fields: Readonly<Record<string, string>> = {}): Scenario => ({
  name,
  path,
  status,
  fields,
  kind: 'hit',
});

export const SCENARIOS: readonly Scenario[] = [
  hit('1 KiB hit', '/bytes/1024'),
  hit('1 KiB hit, browser', '/bytes/1024', 200, BROWSER),
  hit('304', '/bytes/1024', 304, { 'if-none-match': '"1024"' }),
  hit('64 KiB hit', '/bytes/65536'),
  hit('64 KiB of 100 MB', '/bytes/100000000', 206, { range: 'bytes=50000000-50065535' }),
  hit('1 MiB hit', '/bytes/1048576'),
  hit('100 MB hit', '/bytes/100000000'),
  { name: '1 KiB miss', path: '/bytes/1024', fields: {}, status: 200, kind: 'miss' },
  { name: '64 KiB miss', path: '/bytes/65536', fields: {}, status: 200, kind: 'miss' },
];
