/** Which requests are one resource, and what of a request never reaches the origin (RFC 9111 §2, RFC 3986 §6). */
import { describe, expect, test } from 'vitest';
import { bench, cacheStatus, rawClient } from './harness.ts';

const FRESH = { 'Cache-Control': 'max-age=60' };

const framing = bench({ disk: false });

describe('keys', () => {
  const b = framing;
  const one = (path: string) => b.origin.on(path, { headers: FRESH, body: path });

  test('a query is not part of the path', async () => {
    for (const path of ['/get?name=x', '/?getname=x', '/getname=x']) {
      one(path);
      expect((await b.edge.get(path)).text).toBe(path);
    }
  });

  test('a host is not part of the path, and two hosts are two resources', async () => {
    const path = b.path();
    b.origin.on(path, (seen) => ({ headers: FRESH, body: String(seen.headers.host) }));
    for (const host of ['a.example.org', 'b.example.org', 'a.example.org:8081', 'a.example.org'])
      expect((await b.edge.get(path, { Host: host })).text).toBe(host);
    expect(b.origin.hits(path)).toBe(3);
  });

  for (const host of ['PURGED.example.org', 'purged.example.org:80', 'Purged.Example.ORG:80', 'purged.example.org:080'])
    test(`${host} names the same resource, and its purge takes it`, async () => {
      const path = b.path();
      b.origin.on(path, { headers: FRESH, body: 'x' });
      await b.edge.get(path, { Host: 'purged.example.org' });
      const same = await b.edge.get(path, { Host: host });
      if (same.status === 400) return;
      expect(cacheStatus(same).hit).toBe(true);
      expect((await b.edge.ask(path, { method: 'PURGE', headers: { Host: host } })).status).toBe(200);
      expect(cacheStatus(await b.edge.get(path, { Host: 'purged.example.org' })).hit).toBe(false);
    });

  test('/a//b and /a/b are two resources', async () => {
    for (const path of ['/a//b', '/a/b', '//b']) {
      one(path);
      expect((await b.edge.get(path)).text).toBe(path);
    }
  });

  test('dot segments: key, origin and answer see one path', async () => {
    one('/private');
    one('/x/private');
    for (const target of ['/static/../private', '/static/%2e%2e/private', '/static/.%2E/private', '/./private']) {
      const client = await rawClient(b.edge.port);
      client.send(`GET ${target} HTTP/1.1\r\nHost: 127.0.0.1:${b.edge.port}\r\nConnection: close\r\n\r\n`);
      const { text } = await client.closed();
      expect(text.startsWith('HTTP/1.1 400') || text.endsWith('/private')).toBe(true);
    }
    expect(b.origin.hits('/private')).toBeLessThanOrEqual(1);
  });

  for (const target of [
    '/a%00b',
    '/a\\b',
    '/a#b',
    '/a.png#/../admin',
    '/a%zz',
    '/a%',
    'a',
    '/a b',
    '/a\x01b',
    '/a\x7fb',
    '/..%5c',
  ])
    test(`the target ${JSON.stringify(target)} is refused or one resource, never a file name`, async () => {
      const client = await rawClient(b.edge.port);
      client.send(Buffer.from(`GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`, 'latin1'));
      const { text } = await client.closed();
      expect(text).toMatch(/^HTTP\/1\.1 (400|404)/);
    });

  test('a path in other percent-encoding is the same where RFC 3986 says so', async () => {
    b.origin.on('/tilde~a', { headers: FRESH, body: 'x' });
    await b.edge.get('/tilde~a');
    expect(cacheStatus(await b.edge.get('/%74ilde%7Ea')).hit).toBe(true);
    b.origin.on('/sl%2Fash', { headers: FRESH, body: 'encoded' });
    b.origin.on('/sl/ash', { headers: FRESH, body: 'plain' });
    expect((await b.edge.get('/sl%2fash')).text).toBe('encoded');
    expect((await b.edge.get('/sl/ash')).text).toBe('plain');
  });

  test('fields with which origins are deceived do not reach it', async () => {
    const path = b.path();
    b.origin.on(path, { headers: FRESH, body: 'x' });
    const evil = {
      'X-Forwarded-Host': 'evil',
      'X-Forwarded-Scheme': 'nothttps',
      'X-Original-URL': '/admin',
      'X-Rewrite-URL': '/admin',
      'X-HTTP-Method-Override': 'DELETE',
      'X-HTTP-Method': 'DELETE',
      'X-Method-Override': 'DELETE',
      Proxy: 'evil',
      Forwarded: 'host=evil',
      X_Forwarded_Host: 'evil',
      Content_Length: '5',
      'X-Forwarded-Proto': 'gopher',
      'X-Forwarded-For': '1.2.3.4',
    };
    await b.edge.get(path, evil);
    const { headers } = b.origin.requests(path)[0]!;
    for (const name of Object.keys(evil).map((one) => one.toLowerCase()))
      if (!['x-forwarded-proto', 'x-forwarded-for'].includes(name))
        expect([name, headers[name]]).toEqual([name, undefined]);
    expect(headers['x-forwarded-proto']).toBe('http');
    expect(String(headers['x-forwarded-for'])).toMatch(/127\.0\.0\.1$/);
    expect(headers.via).toBe('1.1 nearcast-edge');
    expect(headers['cdn-loop']).toBe('nearcast-edge');
  });

  test('hop-by-hop fields of the client stay here, and Connection takes no end-to-end field of ours away', async () => {
    const path = b.path();
    b.origin.on(path, { headers: FRESH, body: 'x' });
    await b.edge.get(path, {
      Connection: 'keep-alive, X-Hop, Authorization, Host',
      'X-Hop': '1',
      TE: 'trailers',
      'Keep-Alive': 'timeout=5',
      'Proxy-Connection': 'x',
      'Proxy-Authorization': 'x',
      Authorization: 'Bearer a',
    });
    const { headers } = b.origin.requests(path)[0]!;
    for (const name of ['x-hop', 'te', 'keep-alive', 'proxy-connection', 'proxy-authorization', 'upgrade'])
      expect([name, headers[name]]).toEqual([name, undefined]);
    expect(headers.authorization).toBe('Bearer a');
  });

  test('hop-by-hop fields of the origin reach neither client nor store', async () => {
    const path = b.path();
    b.origin.on(path, {
      headers: [
        ['Cache-Control', 'max-age=60'],
        ['Connection', 'X-Hop, Cache-Control'],
        ['X-Hop', '1'],
        ['Keep-Alive', 'timeout=5'],
        ['Proxy-Connection', 'x'],
        ['TE', 'x'],
        ['Upgrade', 'h2c'],
        ['Proxy-Authenticate', 'x'],
        ['X-Kept', '1'],
      ],
      body: 'x',
    });
    for (const answer of [await b.edge.get(path), await b.edge.get(path)]) {
      for (const name of ['x-hop', 'proxy-connection', 'te', 'upgrade', 'proxy-authenticate'])
        expect([name, answer.field(name)]).toEqual([name, undefined]);
      expect(answer.field('x-kept')).toBe('1');
    }
    expect(b.origin.hits(path)).toBe(1);
  });

  test('a request that has been here twice is a loop', async () => {
    const path = b.path();
    b.origin.on(path, { headers: FRESH, body: 'x' });
    expect((await b.edge.get(path, { 'CDN-Loop': 'nearcast-edge, other.example.org, nearcast-edge' })).status).toBe(
      508,
    );
    expect(
      (await b.edge.ask(path, { method: 'POST', headers: { 'CDN-Loop': 'nearcast-edge; a=1, nearcast-edge' } })).status,
    ).toBe(508);
    expect((await b.edge.get(path, { 'CDN-Loop': 'other.example.org' })).status).toBe(200);
  });

  test('a token in the query is sent to the origin byte for byte', async () => {
    const target = '/signed?X-Amz-Signature=a%2Bb%20c&x=//y&empty=&z';
    one(target);
    expect((await b.edge.get(target)).text).toBe(target);
  });
});

for (const [what, head, allowed] of [
  ['both a length and chunks', 'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n', /^HTTP\/1\.1 400/],
  ['an empty first coding', 'Transfer-Encoding: ,chunked\r\n', /^HTTP\/1\.1 (400|501)/],
  ['chunked twice', 'Transfer-Encoding: chunked, chunked\r\n', /^HTTP\/1\.1 (400|501)/],
  ['gzip before chunked', 'Transfer-Encoding: gzip, chunked\r\n', /^HTTP\/1\.1 (400|501)/],
  ['chunked before gzip', 'Transfer-Encoding: chunked, gzip\r\n', /^HTTP\/1\.1 (400|501)/],
  ['xchunked', 'Transfer-Encoding: xchunked\r\n', /^HTTP\/1\.1 (400|501)/],
  ['a vertical tab before chunked', 'Transfer-Encoding: \x0bchunked\r\n', /^HTTP\/1\.1 (400|501)/],
  ['a length of +5', 'Content-Length: +5\r\n', /^HTTP\/1\.1 400/],
  ['a length of 0x5', 'Content-Length: 0x5\r\n', /^HTTP\/1\.1 400/],
  ['a length of 5,6', 'Content-Length: 5,6\r\n', /^HTTP\/1\.1 400/],
  ['an empty length', 'Content-Length: \r\n', /^HTTP\/1\.1 400/],
  ['two lengths', 'Content-Length: 5\r\nContent-Length: 6\r\n', /^HTTP\/1\.1 400/],
  ['a length of thirty digits', `Content-Length: ${'9'.repeat(30)}\r\n`, /^HTTP\/1\.1 (400|413)/],
  ['a folded coding', 'Transfer-Encoding:\r\n chunked\r\n', /^HTTP\/1\.1 400/],
  ['a space in a name', 'X A: 1\r\n', /^HTTP\/1\.1 400/],
  ['a space before the colon', 'X-A : 1\r\n', /^HTTP\/1\.1 400/],
  ['a NUL in a value', 'X-A: a\0b\r\n', /^HTTP\/1\.1 400/],
  ['a bare CR in a value', 'X-A: a\rb\r\n', /^HTTP\/1\.1 400/],
  ['no colon', 'X-A\r\n', /^HTTP\/1\.1 400/],
  ['a second Host', 'Host: b\r\n', /^HTTP\/1\.1 400/],
] as const)
  describe(what, () => {
    for (const method of ['GET', 'POST'])
      test(`in a ${method} is refused and what follows on the connection is not executed`, async () => {
        const client = await rawClient(framing.edge.port);
        client.send(
          Buffer.from(
            `${method} /first HTTP/1.1\r\nHost: a\r\n${head}\r\n0\r\n\r\nGET /after HTTP/1.1\r\nHost: a\r\n\r\n`,
            'latin1',
          ),
        );
        const { text } = await client.closed();
        expect(text).toMatch(allowed);
        expect(text.match(/HTTP\/1\.1 \d/g)).toHaveLength(1);
        expect(framing.origin.hits('/after')).toBe(0);
        expect(framing.origin.hits('/first')).toBe(0);
      });
  });
