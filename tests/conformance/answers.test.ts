/** Every kind of answer the edge makes, linted field by field in the manner of REDbot (RFC 9110, 9111, 9112, 9209, 9211). */
import { expect, test } from 'vitest';
import { bench, rawClient } from '../edge/harness.ts';
import { readAnswers } from '../fuzz/answer-reading.ts';

const b = bench({ profile: 'rfc', disk: false });

const DATE =
  /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d GMT$/;
const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
/** A list of items with parameters (RFC 9651): what Cache-Status and Proxy-Status are. */
const MEMBER = `(?:${TOKEN}|"[^"\\\\]*")(?:; ?[a-z*][a-z0-9_.*-]*(?:=(?:-?\\d+|\\?[01]|"(?:[^"\\\\]|\\\\.)*"|[A-Za-z*]${TOKEN.slice(0, -1)}*))?)*`;
const SYNTAX: Readonly<Record<string, RegExp>> = {
  date: DATE,
  'last-modified': DATE,
  expires: DATE,
  etag: /^(W\/)?"[\x21\x23-\x7e\x80-\xff]*"$/,
  age: /^\d+$/,
  'content-length': /^\d+$/,
  'content-range': /^bytes (\d+-\d+\/(\d+|\*)|\*\/\d+)$/,
  'content-type': new RegExp(`^${TOKEN}/${TOKEN}(; ?${TOKEN}=(${TOKEN}|"[^"]*"))*$`),
  via: /^\d\.\d [A-Za-z0-9.:-]+(, \d\.\d [A-Za-z0-9.:-]+)*$/,
  vary: new RegExp(`^(\\*|${TOKEN}(, ?${TOKEN})*)$`),
  allow: new RegExp(`^${TOKEN}(, ${TOKEN})*$`),
  'cache-control': new RegExp(`^${TOKEN}(=(${TOKEN}|"[^"]*"))?(, ?${TOKEN}(=(${TOKEN}|"[^"]*"))?)*$`),
  'cache-status': new RegExp(`^${MEMBER}(, ${MEMBER})*$`),
  'proxy-status': new RegExp(`^${MEMBER}(, ${MEMBER})*$`),
  'retry-after': /^\d+$/,
  connection: /^(close|keep-alive)$/i,
};
const NEVER = ['keep-alive', 'proxy-connection', 'te', 'upgrade', 'www-authenticate', 'x-powered-by', 'server'];

const H = 'Host: a\r\n';
const KINDS: readonly (readonly [name: string, status: number, request: string])[] = [
  ['a miss', 200, `GET /a HTTP/1.1\r\n${H}`],
  ['a hit', 200, `GET /a HTTP/1.1\r\n${H}`],
  ['HEAD', 200, `HEAD /a HTTP/1.1\r\n${H}`],
  ['a 304', 304, `GET /a HTTP/1.1\r\n${H}If-None-Match: "v"\r\n`],
  ['a range', 206, `GET /a HTTP/1.1\r\n${H}Range: bytes=1-2\r\n`],
  ['ranges', 206, `GET /a HTTP/1.1\r\n${H}Range: bytes=0-1,4-5\r\n`],
  ['a 416', 416, `GET /a HTTP/1.1\r\n${H}Range: bytes=99-\r\n`],
  ['a 412', 412, `GET /a HTTP/1.1\r\n${H}If-Match: "x"\r\n`],
  ['a redirect', 302, `GET /r HTTP/1.1\r\n${H}`],
  ['a 404', 404, `GET /none HTTP/1.1\r\n${H}`],
  ['a 204', 204, `GET /empty HTTP/1.1\r\n${H}`],
  ['chunks', 200, `GET /chunked HTTP/1.1\r\n${H}`],
  ['a POST', 200, `POST /a HTTP/1.1\r\n${H}Content-Length: 0\r\n`],
  ['a 502', 502, `GET /broken HTTP/1.1\r\n${H}`],
  ['a 504', 504, `GET /unknown HTTP/1.1\r\n${H}Cache-Control: only-if-cached\r\n`],
  ['TRACE', 405, `TRACE /a HTTP/1.1\r\n${H}`],
  ['CONNECT', 405, `CONNECT a:1 HTTP/1.1\r\n${H}`],
  ['OPTIONS *', 200, `OPTIONS * HTTP/1.1\r\n${H}`],
  ['a 400', 400, `GET /a HTTP/1.1\r\n${H}X : 1\r\n`],
  ['a 417', 417, `GET /a HTTP/1.1\r\n${H}Expect: x\r\n`],
  ['a 414', 414, `GET /${'a'.repeat(9000)} HTTP/1.1\r\n${H}`],
  ['a 431', 431, `GET /a HTTP/1.1\r\n${H}X: ${'a'.repeat(20_000)}\r\n`],
  ['a 505', 505, `GET /a HTTP/2.0\r\n${H}`],
  ['PURGE', 200, `PURGE /zz HTTP/1.1\r\n${H}`],
];

test.each(KINDS)('%s is well formed', async (_name, status, request) => {
  const stored = { 'Cache-Control': 'max-age=60', 'Content-Type': 'text/plain', 'Keep-Alive': 'x', Upgrade: 'x' };
  b.origin.on('/a', { headers: { ...stored, ETag: '"v"', Vary: 'Accept-Encoding' }, body: '0123456789' });
  b.origin.on('/r', { status: 302, headers: { Location: '/a' } });
  b.origin.on('/empty', { status: 204 });
  b.origin.on('/chunked', { headers: stored, body: 'in chunks', chunked: true });
  b.origin.on('/broken', { bytes: 'nonsense\r\n\r\n', ending: 'end' });
  const client = await rawClient(b.edge.port);
  client.send(`${request}Connection: close\r\n\r\n`);
  const read = readAnswers((await client.closed()).text, () => request.split(' ')[0]!);
  expect(read).toMatchObject({ kind: 'read' });
  expect(read.answers.length).toBe(1);
  const [answer] = read.answers;
  const { fields } = answer!;
  expect(answer!.status).toBe(status);
  expect(answer!.whole).toBe(true);
  for (const [name, value] of fields)
    if (SYNTAX[name] !== undefined)
      expect(`${name}: ${value}`).toMatch(
        new RegExp(`^${name}: ${SYNTAX[name].source.replace(/^\^|\$$/g, '')}$`, SYNTAX[name].flags),
      );
  for (const name of NEVER) expect(fields.has(name), name).toBe(false);
  expect(fields.get('date'), 'Date').toBeDefined();
  expect(fields.has('allow'), 'Allow').toBe(status === 405 || request.startsWith('OPTIONS'));
  if (status === 206 || status === 416)
    expect(fields.has('content-range') || fields.get('content-type')?.startsWith('multipart/byteranges;')).toBe(true);
  if (status === 304)
    expect([fields.get('etag'), fields.has('content-length'), fields.get('vary')?.toLowerCase()]).toEqual([
      '"v"',
      false,
      'accept-encoding',
    ]);
});
