import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DEFAULT_LIMITS } from './limits.ts';
import { rawClient } from './raw-client.ts';
import { type ParseOutcome, RequestParser } from './request-parser.ts';

const parser = new RequestParser(DEFAULT_LIMITS);

function parse(text: string): ParseOutcome {
  const bytes = Buffer.from(text, 'latin1');
  return parser.parse(bytes, 0, bytes.length, 'http');
}

const H = 'Host: example.org\r\n';
const get = (fields: string) => `GET / HTTP/1.1\r\n${fields}\r\n`;

describe('a request that we serve ourselves', () => {
  test('is taken apart into method, target, authority and fields', () => {
    const text =
      'GET /a?b HTTP/1.1\r\nHost: Example.org:80\r\nX-One:  a b\t \r\nx-ONE:\r\nAccept: caf\xe9\r\n\r\nGET /next';
    const outcome = parse(text);
    if (outcome.kind !== 'complete') throw new Error(outcome.kind);
    expect(outcome.end).toBe(text.indexOf('GET /next'));
    expect(outcome.head).toMatchObject({ method: 'GET', target: '/a?b', authority: 'Example.org:80', keepAlive: true });
    expect(outcome.head.fields.flat).toEqual([
      'host',
      'Example.org:80',
      'x-one',
      'a b',
      'x-one',
      '',
      'accept',
      'caf\xe9',
    ]);
  });

  test('HEAD, empty lines before it, Content-Length: 0, Upgrade and a name like __proto__ are nothing special', () => {
    const outcome = parse(`\r\n\r\nHEAD /x HTTP/1.1\r\n${H}Content-Length: 0\r\nUpgrade: h2c\r\n__proto__: 1\r\n\r\n`);
    if (outcome.kind !== 'complete') throw new Error(outcome.kind);
    expect(outcome.head.method).toBe('HEAD');
    expect(outcome.head.fields.get('__proto__')).toBe('1');
  });

  test('absolute-form overrides Host', () => {
    const outcome = parse('GET http://other.example.org/p HTTP/1.1\r\nHost: example.org\r\n\r\n');
    if (outcome.kind !== 'complete') throw new Error(outcome.kind);
    expect(outcome.head).toMatchObject({ target: '/p', authority: 'other.example.org' });
    expect(outcome.head.fields.lines('host')).toEqual(['other.example.org']);
  });

  test.each([
    ['close', false],
    ['Keep-Alive', true],
    ['x, Close', false],
    ['closed', true],
  ])('Connection: %s keeps the connection: %s', (value, keepAlive) => {
    const outcome = parse(get(`${H}Connection: ${value}\r\n`));
    if (outcome.kind !== 'complete') throw new Error(outcome.kind);
    expect(outcome.head.keepAlive).toBe(keepAlive);
  });

  test('an underscore is not a dash: Content_Length is no length', () => {
    expect(parse(get(`${H}Content_Length: 5\r\n`)).kind).toBe('complete');
  });
});

test.each([
  [`POST / HTTP/1.1\r\n`, 'method'],
  ['OPTIONS * HTTP/1.1\r\n', 'method'],
  ['CONNECT a:1 HTTP/1.1\r\n', 'method'],
  ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'method'],
  ['get / HTTP/1.1\r\n', 'method'],
  [`GET / HTTP/1.0\r\n${H}\r\n`, 'http/1.0'],
  [get(`${H}Content-Length: 5\r\n`), 'body'],
  [get(`${H}Transfer-Encoding: Chunked\r\n`), 'body'],
  [get(`${H}Expect: 100-continue\r\n`), 'expect'],
])('%j is handed over: %s', (text, why) => {
  expect(parse(text)).toEqual({ kind: 'hand-over', why });
});

/** Cases J of the list of faults: refused with 400 unless noted, whatever comes after. */
const REFUSED: [text: string, status: number, reason: string][] = [
  [get(`${H}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n`), 400, 'length-and-chunked'],
  ...[
    ',chunked',
    'chunked, chunked',
    'gzip, chunked',
    'chunked, gzip',
    'identity',
    'xchunked',
    'chunked,',
    '',
    '"chunked"',
  ].map((value): [string, number, string] => [get(`${H}Transfer-Encoding: ${value}\r\n`), 400, 'transfer-encoding']),
  [get(`${H}Transfer-Encoding: \x0bchunked\r\n`), 400, 'field-value'],
  [get(`${H}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n`), 400, 'transfer-encoding'],
  [`GET / HTTP/1.0\r\n${H}Transfer-Encoding: chunked\r\n\r\n`, 400, 'transfer-encoding'],
  ...['', '+5', '-5', '0x5', '5,6', '5, 5', '5 5', '1_0', '010', '00', '9'.repeat(30)].map(
    (value): [string, number, string] => [get(`${H}Content-Length: ${value}\r\n`), 400, 'content-length-syntax'],
  ),
  [get(`${H}Content-Length: 5\r\nContent-Length: 5\r\n`), 400, 'content-length-syntax'],
  [get(`${H}Transfer-Encoding:\r\n chunked\r\n`), 400, 'obs-fold'],
  [get(` Content-Length: 5\r\n${H}`), 400, 'obs-fold'],
  [get(`\tX: 5\r\n${H}`), 400, 'obs-fold'],
  [get(`${H}X : 5\r\n`), 400, 'space-before-colon'],
  [get(`${H}: 5\r\n`), 400, 'field-name'],
  [get(`${H}nocolon\r\n`), 400, 'field-name'],
  [get(`${H}a(b: 5\r\n`), 400, 'field-name'],
  [get(`${H}caf\xe9: 5\r\n`), 400, 'field-name'],
  [get(`${H}X: a\0b\r\n`), 400, 'field-value'],
  [get(`${H}X: a\x7fb\r\n`), 400, 'field-value'],
  [get(`${H}X: a\rb\r\n`), 400, 'bare-cr'],
  [get(`${H}X: a\n`), 400, 'bare-lf'],
  [`GET / HTTP/1.1\n${H}\n`, 400, 'bare-lf'],
  [`GET / HTTP/1.1\r\n${H}\n`, 400, 'bare-lf'],
  [`GET / HTTP/1.1\r\n${H}\rX`, 400, 'bare-cr'],
  ['\rGET / HTTP/1.1\r\n', 400, 'bare-cr'],
  ['\nGET / HTTP/1.1\r\n', 400, 'bare-lf'],
  ['\r\n\r\n\r\nGET / HTTP/1.1\r\n', 400, 'empty-lines'],
  ['GET /\r\n', 400, 'version'],
  ['GET / \r\n\r\nHost: x\r\n\r\n', 400, 'version'],
  ['GET  / HTTP/1.1\r\n', 400, 'target-syntax'],
  ['GET / HTTP/1.1 \r\n', 400, 'version'],
  ['GET / http/1.1\r\n', 400, 'version'],
  ['GET / HTTP/11.1\r\n', 400, 'version'],
  ['GET / HTTP/2.0\r\n', 505, 'version'],
  ['GET / HTTP/1.2\r\n', 505, 'version'],
  ['GET / HTTP/0.9\r\n', 505, 'version'],
  [' GET / HTTP/1.1\r\n', 400, 'method'],
  ['G\xcbT / HTTP/1.1\r\n', 400, 'method'],
  ['\x16\x03\x01\x02', 400, 'method'],
  ['GET /a.png#/../admin HTTP/1.1\r\n', 400, 'target-fragment'],
  ['GET /\x01 HTTP/1.1\r\n', 400, 'target-syntax'],
  ['GET /caf\xe9 HTTP/1.1\r\n', 400, 'target-syntax'],
  ['GET /\tx HTTP/1.1\r\n', 400, 'target-syntax'],
  [`GET * HTTP/1.1\r\n${H}\r\n`, 400, 'target-syntax'],
  [`GET ftp://example.org/ HTTP/1.1\r\n${H}\r\n`, 400, 'target-syntax'],
  [`GET https://example.org/ HTTP/1.1\r\n${H}\r\n`, 400, 'scheme-mismatch'],
  [get(''), 400, 'host-missing'],
  [get(`${H}${H}`), 400, 'host-repeated'],
  [get('Host: a, b\r\n'), 400, 'host-syntax'],
  [get('Host: a:b:c\r\n'), 400, 'port-syntax'],
  [get('Host: a@b\r\n'), 400, 'host-syntax'],
  [get('Host: a/b\r\n'), 400, 'host-syntax'],
  [get('Host:\r\n'), 400, 'empty-host'],
  [`GET /${'a'.repeat(8192)} HTTP/1.1\r\n`, 414, 'request-line-too-long'],
  [get(`${H}X: ${'a'.repeat(16384)}\r\n`), 431, 'fields-too-large'],
  [get(`${H}${'X: 1\r\n'.repeat(100)}`), 431, 'field-lines'],
];

test.each(REFUSED)('%j is refused with %i %s', (text, status, reason) => {
  expect(parse(text)).toMatchObject({ kind: 'refuse', status, reason });
});

test('a line and fields of exactly the limit are read', () => {
  const line = `GET /${'a'.repeat(8192 - 'GET / HTTP/1.1\r\n'.length)} HTTP/1.1\r\n`;
  const filler = `X: ${'a'.repeat(16384 - H.length - 'X: \r\n\r\n'.length)}\r\n`;
  expect(line.length).toBe(8192);
  const text = `${line}${H}${filler}\r\n`;
  expect(parse(text)).toMatchObject({ kind: 'complete', end: text.length });
  expect(parse(get(`${H}${'X: 1\r\n'.repeat(99)}`)).kind).toBe('complete');
});

/** Requests good and bad, with bytes that parsers disagree about. */
const piece = fc.constantFrom(
  'GET ',
  'HEAD ',
  'POST ',
  '/',
  '/a?b',
  'http://a/b',
  '*',
  '#',
  ' ',
  '\t',
  ' HTTP/1.1\r\n',
  ' HTTP/1.0\r\n',
  ' HTTP/2.0\r\n',
  'Host: a\r\n',
  'Host:a:80 \r\n',
  'Content-Length: 0\r\n',
  'Content-Length: 3\r\n',
  'Transfer-Encoding: chunked\r\n',
  'X: y\r\n',
  'X : y\r\n',
  ' y\r\n',
  '\r\n',
  '\r',
  '\n',
  '\0',
  '\xff',
  ':',
  'Connection: close\r\n',
  'Upgrade: x\r\n',
  'Z'.repeat(50),
); // prettier-ignore
const stream = fc.oneof(
  fc.array(piece, { maxLength: 12 }).map((parts) => parts.join('')),
  fc
    .tuple(fc.array(piece, { maxLength: 6 }), fc.array(piece, { maxLength: 3 }))
    .map(([fields, after]) => `GET / HTTP/1.1\r\nHost: a\r\n${fields.join('')}\r\n${after.join('')}`),
);

test('once the answer is not "incomplete", more bytes do not change it', () => {
  const small = new RequestParser({ requestLineBytes: 60, fieldBytes: 120, fieldLines: 5 });
  fc.assert(
    fc.property(stream, (text) => {
      const bytes = Buffer.from(text, 'latin1');
      let settled: string | undefined;
      for (let end = 0; end <= bytes.length; end++) {
        const outcome = small.parse(bytes, 0, end, 'http');
        if (settled !== undefined) expect(JSON.stringify(outcome)).toBe(settled);
        else if (outcome.kind !== 'incomplete') settled = JSON.stringify(outcome);
      }
    }),
    { numRuns: 3000 },
  );
});

test('where the bytes lie in the buffer does not matter', () => {
  fc.assert(
    fc.property(stream, fc.nat(40), (text, offset) => {
      const bytes = Buffer.from(text, 'latin1');
      const moved = Buffer.concat([Buffer.alloc(offset, 'G'), bytes, Buffer.from('\r\n\r\n')]);
      const here = parser.parse(bytes, 0, bytes.length, 'http');
      const there = parser.parse(moved, offset, offset + bytes.length, 'http');
      if (here.kind === 'complete' && there.kind === 'complete') {
        expect(there.end - offset).toBe(here.end);
        expect(there.head).toEqual(here.head);
      } else expect(there).toEqual(here);
    }),
  );
});

/** A request that is well formed until some of its bytes are not. */
const flipped = fc
  .tuple(
    fc.constantFrom('GET', 'HEAD'),
    fc.constantFrom('/', '/a%20b?c=d&e', '//x/../y', 'http://a/b?c'),
    fc.array(
      fc.tuple(
        fc.constantFrom('Accept', 'x-Odd', '__proto__', 'Range', 'Connection', 'Content-Length'),
        fc.string({ unit: fc.constantFrom(...'0aZ ,;="\t\xff\x80'), maxLength: 12 }),
      ),
      { maxLength: 4 },
    ),
    fc.array(fc.tuple(fc.nat(200), fc.nat(255), fc.constantFrom('replace', 'insert', 'remove')), { maxLength: 2 }),
  )
  .map(([method, target, fields, changes]) => {
    const lines = fields.map(([name, value]) => `${name}: ${name === 'Content-Length' ? '0' : value}\r\n`).join('');
    let text = `${method} ${target} HTTP/1.1\r\nHost: a\r\n${lines}\r\n`;
    for (const [where, code, how] of changes) {
      const at = where % text.length;
      const put = how === 'remove' ? '' : String.fromCharCode(code);
      text = text.slice(0, at) + put + text.slice(how === 'insert' ? at : at + 1);
    }
    return text;
  });

describe('against node:http', () => {
  let server: Server;
  let port: number;
  const seen: { method: string; url: string; raw: string[] }[] = [];
  beforeAll(async () => {
    server = createServer((request, response) => {
      seen.push({ method: request.method!, url: request.url!, raw: request.rawHeaders });
      response.end('ok');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = (server.address() as AddressInfo).port;
  });
  afterAll(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });

  test('what we serve ourselves, node reads as the same request that ends at the same byte', async () => {
    let compared = 0;
    await fc.assert(
      fc.asyncProperty(fc.oneof(stream, { arbitrary: flipped, weight: 3 }), async (text) => {
        const outcome = parse(text);
        if (outcome.kind !== 'complete') return;
        // A marker right behind the place where our parser saw the end must be node's second request.
        const marked = `${text.slice(0, outcome.end)}GET /marker HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n`;
        const { method, target, authority, fields, keepAlive } = outcome.head;
        seen.length = 0;
        const client = await rawClient(port);
        client.send(Buffer.from(marked, 'latin1'));
        // What node does behind an Upgrade that it does not take up is its own affair.
        if (fields.has('upgrade')) client.halfClose();
        await client.closed();
        client.destroy();
        const second = keepAlive ? ['/marker'] : [];
        const comparable = fields.has('upgrade')
          ? seen.slice(0, 1).concat({ method: '', url: '/marker', raw: [] })
          : seen;
        expect(
          comparable.slice(0, keepAlive ? undefined : 1).map(({ url }) => url.replace(/^http:\/\/[^/?]*\/?/i, '/')),
        ).toEqual([target, ...second]);
        const { raw, ...first } = seen[0]!;
        expect(first.method).toBe(method);
        const theirs = raw.map((part, i) => (i % 2 === 0 ? part.toLowerCase() : part));
        compared++;
        if (/^http:/i.test(first.url)) expect(authority).toBe(/^http:\/\/([^/?]*)/i.exec(first.url)![1]);
        else expect(fields.flat).toEqual(theirs);
      }),
      { numRuns: 1200 },
    );
    expect(compared).toBeGreaterThan(150);
  }, 60_000);
});
