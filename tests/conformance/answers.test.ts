/**
 * Every kind of answer the edge makes, on every protocol, linted field by field in the manner of REDbot (RFC 9110, 9111,
 * 9112, 9113, 9209, 9211).
 */
import { connect as connectHttp2 } from 'node:http2';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { wrap } from '../../edge-server/http/raw-client.ts';
import { type CertificateFolder, certificateFolder } from '../../edge-server/http/test-certificate.ts';
import { Edge, Origin, rawClient, within } from '../edge/harness.ts';
import { readAnswers } from '../fuzz/answer-reading.ts';

const origin = new Origin();
let edge: Edge;
let certificates: CertificateFolder;
beforeAll(async () => {
  certificates = certificateFolder();
  const { certificate, key } = certificates.make('answers', ['a']);
  await origin.start();
  edge = await Edge.start({
    upstreams: [origin.url],
    profile: 'rfc',
    disk: false,
    more: ['--listen-tls', '127.0.0.1:0', '--tls-cert', certificate, '--tls-key', key],
  });
  const stored = { 'Cache-Control': 'max-age=60', 'Content-Type': 'text/plain', 'Keep-Alive': 'x', Upgrade: 'x' };
  origin.on('/a', { headers: { ...stored, ETag: '"v"', Vary: 'Accept-Encoding' }, body: '0123456789' });
  origin.on('/r', { status: 302, headers: { Location: '/a' } });
  origin.on('/empty', { status: 204 });
  origin.on('/chunked', { headers: stored, body: 'in chunks', chunked: true });
  origin.on('/broken', { bytes: 'nonsense\r\n\r\n', ending: 'end' });
});
afterAll(async () => {
  await edge?.stop();
  await origin.stop();
  certificates?.remove();
});

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

/** What HTTP/1.1 alone can say, or refuses itself. */
const NOT_IN_HTTP2 = ['CONNECT', 'a 400', 'a 431', 'a 505'];

interface Linted {
  readonly status: number;
  readonly fields: ReadonlyMap<string, string>;
}

function lint({ status, fields }: Linted, request: string): void {
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
}

describe.each(['HTTP/1.1', 'HTTP/1.1 over TLS'])('%s', (protocol) => {
  test.each(KINDS)('%s is well formed', async (_name, status, request) => {
    const client =
      protocol === 'HTTP/1.1'
        ? await rawClient(edge.port)
        : wrap(connectTls({ port: edge.tlsPort, host: '127.0.0.1', rejectUnauthorized: false }));
    client.send(`${request}Connection: close\r\n\r\n`);
    const read = readAnswers((await within(client.closed(), 'the end')).text, () => request.split(' ')[0]!);
    expect(read).toMatchObject({ kind: 'read' });
    expect(read.answers.length).toBe(1);
    const [answer] = read.answers;
    expect([answer!.status, answer!.whole]).toEqual([status, true]);
    lint(answer!, request);
  });
});

describe('HTTP/2', () => {
  const kinds = KINDS.filter(([name]) => !NOT_IN_HTTP2.includes(name));
  test.each(kinds)('%s is well formed', async (_name, status, request) => {
    const session = connectHttp2(`https://127.0.0.1:${edge.tlsPort}`, { rejectUnauthorized: false });
    session.on('error', () => {});
    try {
      const { answer, names, bytes } = await within(overHttp2(session, request), 'the answer');
      expect(answer.status).toBe(status);
      lint(answer, request);
      for (const name of ['connection', 'transfer-encoding']) expect(answer.fields.has(name), name).toBe(false);
      for (const name of names) expect(name).toBe(name.toLowerCase());
      const length = answer.fields.get('content-length');
      if (length !== undefined && !request.startsWith('HEAD')) expect(bytes).toBe(Number(length));
      if (request.startsWith('HEAD') || status === 204 || status === 304) expect(bytes).toBe(0);
    } finally {
      session.destroy();
    }
  });
});

/** The same request as a stream; rejects when that is reset. */
async function overHttp2(session: ReturnType<typeof connectHttp2>, request: string) {
  const [line = '', , ...fields] = request.trimEnd().split('\r\n');
  const [method = '', path = ''] = line.split(' ');
  const headers: Record<string, string> = { ':method': method, ':path': path, ':authority': 'a' };
  for (const field of fields) headers[field.slice(0, field.indexOf(':')).toLowerCase()] = field.split(': ')[1]!;
  const stream = session.request(headers, { endStream: true });
  const { promise, resolve, reject } = Promise.withResolvers<{ answer: Linted; names: string[]; bytes: number }>();
  let head: readonly string[] = [];
  let bytes = 0;
  stream.on('response', (_headers, _flags, raw?: string[]) => {
    head = raw ?? [];
  });
  stream.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  stream.on('error', reject);
  stream.on('close', () => {
    const all = new Map<string, string>();
    for (let i = 0; i < head.length; i += 2) {
      const before = all.get(head[i]!);
      all.set(head[i]!, before === undefined ? head[i + 1]! : `${before}, ${head[i + 1]!}`);
    }
    const status = Number(all.get(':status'));
    all.delete(':status');
    resolve({ answer: { status, fields: all }, names: [...all.keys()], bytes });
  });
  return promise;
}
