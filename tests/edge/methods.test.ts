/** HEAD, unsafe methods, and requests with bodies (RFC 9110 §9, RFC 9111 §4.4). */
import { Agent } from 'node:http';
import { describe, expect, test } from 'vitest';
import { ask, bench, cacheStatus, gate, httpDate, rawClient } from './harness.ts';

const FRESH = { 'Cache-Control': 'max-age=60' };

for (const workers of [1, 2])
  describe(`${workers} workers`, () => {
    const b = bench({ workers });

    test('HEAD, GET, HEAD: each says the length, and only GET has a body', async () => {
      const path = b.path();
      b.origin.on(path, { headers: FRESH, body: 'x'.repeat(42) });
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      for (const method of ['HEAD', 'GET', 'HEAD', 'GET']) {
        const answer = await ask(b.edge.port, path, { method, agent });
        expect([method, answer.status, answer.field('content-length'), answer.body.length]).toEqual([
          method,
          200,
          '42',
          method === 'GET' ? 42 : 0,
        ]);
      }
      agent.destroy();
      expect(b.origin.requests(path).map(({ method }) => method)).toEqual(['HEAD', 'GET']);
    });

    test('a HEAD for a stale response freshens it with a 304, for GET too', async () => {
      const path = b.path();
      const stale = [
        ['Cache-Control', 'max-age=1'],
        ['Age', '1000'],
        ['ETag', '"v"'],
      ] as const;
      b.origin.on(path, { headers: stale, body: 'stored' }, (seen) =>
        seen.headers['if-none-match'] === '"v"'
          ? { status: 304, headers: { ...FRESH, ETag: '"v"', 'X-New': '1' } }
          : { headers: stale, body: 'stored' },
      );
      await b.edge.get(path);
      const head = await b.edge.ask(path, { method: 'HEAD' });
      expect([head.status, head.field('content-length'), head.field('x-new')]).toEqual([200, '6', '1']);
      const get = await b.edge.get(path);
      expect([cacheStatus(get).hit, get.text, get.field('x-new')]).toEqual([true, 'stored', '1']);
      expect(b.origin.requests(path).map(({ method }) => method)).toEqual(['GET', 'HEAD']);
    });

    test.each([
      ['the same version freshens it', '"v"', 6, true],
      ['another version ends it', '"w"', 6, false],
      ['another length ends it', '"v"', 7, false],
    ])('a 200 to a HEAD that speaks of a stale response: %s', async (_what, etag, length, kept) => {
      const path = b.path();
      const stale = [
        ['Cache-Control', 'max-age=1, stale-if-error=9999'],
        ['Age', '1000'],
        ['ETag', '"v"'],
      ] as const;
      b.origin.on(
        path,
        { headers: stale, body: 'stored' },
        { headers: { ...FRESH, ETag: etag, 'Content-Length': String(length) } },
        { status: 503, body: 'down' },
      );
      await b.edge.get(path);
      expect((await b.edge.ask(path, { method: 'HEAD' })).field('content-length')).toBe(String(length));
      const get = await b.edge.get(path);
      expect([get.status, get.text]).toEqual(kept ? [200, 'stored'] : [503, 'down']);
      expect(cacheStatus(get).hit).toBe(kept);
    });

    test('fifty HEADs at once for what is not here are one HEAD to the origin, and store nothing', async () => {
      const path = b.path();
      const hold = gate();
      b.origin.on(path, { headers: FRESH, body: 'x'.repeat(1000), hold });
      const asking = Array.from({ length: 50 }, () => b.edge.ask(path, { method: 'HEAD' }));
      await b.origin.asked(path, 1);
      // Behind them on the loop of every worker: who asked before has been heard.
      await Promise.all(Array.from({ length: 4 }, () => b.edge.get('/unscripted')));
      hold.open();
      const answers = await Promise.all(asking);
      for (const answer of answers) expect([answer.status, answer.field('content-length')]).toEqual([200, '1000']);
      expect(b.origin.hits(path)).toBeLessThan(6);
      expect(answers.some((answer) => cacheStatus(answer).parameters.has('collapsed'))).toBe(true);
      expect(cacheStatus(await b.edge.get(path)).hit).toBe(false);
    });

    test('a HEAD waits for a GET that is under way', async () => {
      const path = b.path();
      const hold = gate();
      b.origin.on(path, { headers: FRESH, body: 'both', hold });
      const get = b.edge.get(path);
      await b.origin.asked(path, 1);
      const head = b.edge.ask(path, { method: 'HEAD' });
      await b.edge.get('/unscripted');
      hold.open();
      expect([(await get).text, (await head).field('content-length')]).toEqual(['both', '4']);
      expect(b.origin.requests(path).map(({ method }) => method)).toEqual(['GET']);
    });

    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'M-SEARCH'])
      test(`a successful ${method} takes away its target`, async () => {
        const path = b.path();
        b.origin.on(path, (seen, _response, n) =>
          seen.method === 'GET' ? { headers: FRESH, body: String(n) } : { status: 200, body: 'done' },
        );
        expect((await b.edge.get(path)).text).toBe('1');
        expect(cacheStatus(await b.edge.get(path)).hit).toBe(true);
        expect((await b.edge.ask(path, { method, body: 'b', headers: { 'Content-Length': '1' } })).text).toBe('done');
        expect((await b.edge.get(path)).text).toBe('3');
        expect(b.origin.requests(path)[1]!.body.toString()).toBe('b');
      });

    for (const status of [201, 204, 302])
      test(`a ${status} to POST takes away target, Location and Content-Location on the same host`, async () => {
        const [path, location, content, other] = [b.path(), b.path(), b.path(), b.path()];
        b.origin.on(path, (seen) =>
          seen.method === 'GET'
            ? { headers: FRESH, body: 'x' }
            : {
                status,
                headers: { Location: location, 'Content-Location': `http://127.0.0.1:${b.edge.port}${content}` },
              },
        );
        for (const one of [location, content, other]) b.origin.on(one, { headers: FRESH, body: 'x' });
        const all = [path, location, content, other];
        for (const one of all) await b.edge.get(one);
        await b.edge.ask(path, { method: 'POST', body: 'b' });
        const hits = [];
        for (const one of all) hits.push(cacheStatus(await b.edge.get(one)).hit);
        expect(hits).toEqual([false, false, false, true]);
      });

    test('a Location on another host takes nothing away', async () => {
      const [path, location] = [b.path(), b.path()];
      b.origin.on(path, { status: 201, headers: { Location: `http://other.example.org${location}` } });
      b.origin.on(location, { headers: FRESH, body: 'x' });
      for (const host of ['other.example.org', `127.0.0.1:${b.edge.port}`]) await b.edge.get(location, { Host: host });
      await b.edge.ask(path, { method: 'POST' });
      for (const host of ['other.example.org', `127.0.0.1:${b.edge.port}`])
        expect(cacheStatus(await b.edge.get(location, { Host: host })).hit).toBe(true);
    });

    for (const status of [400, 404, 409, 500, 503])
      test(`a ${status} to POST takes nothing away`, async () => {
        const path = b.path();
        b.origin.on(path, (seen) => (seen.method === 'GET' ? { headers: FRESH, body: 'x' } : { status, body: 'no' }));
        await b.edge.get(path);
        expect((await b.edge.ask(path, { method: 'POST', body: 'b' })).status).toBe(status);
        expect(cacheStatus(await b.edge.get(path)).hit).toBe(true);
      });

    test('OPTIONS goes through and takes nothing away', async () => {
      const path = b.path();
      b.origin.on(path, (seen) =>
        seen.method === 'GET' ? { headers: FRESH, body: 'x' } : { status: 204, headers: { Allow: 'GET' } },
      );
      await b.edge.get(path);
      const options = await b.edge.ask(path, { method: 'OPTIONS' });
      expect([options.status, options.field('allow')]).toEqual([204, 'GET']);
      expect(cacheStatus(await b.edge.get(path)).hit).toBe(true);
    });

    test('Max-Forwards counts the servers that an OPTIONS may pass, and TRACE passes none', async () => {
      const path = b.path();
      b.origin.on(path, { status: 204, headers: { Allow: 'GET' } });
      const ask = (method: string, left: string) => b.edge.ask(path, { method, headers: { 'Max-Forwards': left } });
      const here = await ask('OPTIONS', '0');
      expect([here.status, here.field('allow')]).toEqual([200, 'GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE']);
      expect((await ask('TRACE', '0')).status).toBe(405);
      expect((await ask('TRACE', '3')).status).toBe(405);
      expect(b.origin.hits(path)).toBe(0);
      expect((await ask('OPTIONS', '3')).field('allow')).toBe('GET');
      expect((await ask('OPTIONS', 'x')).field('allow')).toBe('GET');
      expect(b.origin.requests(path).map(({ headers }) => headers['max-forwards'])).toEqual(['2', 'x']);
    });

    test('a large request body reaches the origin as it was, with its length or in chunks', async () => {
      const path = b.path();
      b.origin.on(path, { body: 'ok' });
      const body = Buffer.alloc(300_000, 'abc');
      expect((await b.edge.ask(path, { method: 'POST', body })).text).toBe('ok');
      expect((await b.edge.ask(path, { method: 'POST', body, headers: { 'Transfer-Encoding': 'chunked' } })).text).toBe(
        'ok',
      );
      for (const seen of b.origin.requests(path)) expect(seen.body.equals(body)).toBe(true);
    });

    test('a GET with a body is answered for its client alone', async () => {
      const path = b.path();
      b.origin.on(path, (seen) => ({ headers: FRESH, body: `for ${seen.body}` }));
      const fat = await b.edge.ask(path, { body: 'me', headers: { 'Content-Length': '2' } });
      expect(['for me', 'for ']).toContain(fat.text);
      const plain = await b.edge.get(path);
      expect(plain.text).toBe('for ');
      const again = await b.edge.ask(path, { body: 'you', headers: { 'Content-Length': '3' } });
      expect(again.text).not.toBe('for me');
      expect((await b.edge.get(path)).text).toBe('for ');
    });

    test('after a GET with a body the next request of the connection is its own', async () => {
      const [path, next] = [b.path(), b.path()];
      b.origin.on(path, { headers: FRESH, body: 'first' });
      b.origin.on(next, { headers: FRESH, body: 'second' });
      const client = await rawClient(b.edge.port);
      const smuggled = `GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n`;
      client.send(
        `GET ${path} HTTP/1.1\r\nHost: a\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}GET ${next} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
      );
      const { text } = await client.closed();
      expect(text).not.toContain('not scripted');
      expect(b.origin.hits('/smuggled')).toBe(0);
      expect(text.match(/^HTTP\/1\.1 200/gm)?.length ?? 0).toBeLessThanOrEqual(2);
    });

    test('CONNECT and TRACE go nowhere', async () => {
      for (const method of ['TRACE']) expect((await b.edge.ask(b.path(), { method })).status).toBe(405);
    });

    for (const [what, headers] of [
      ['Content-Length: 0', [['Content-Length', '0']]],
      ['nothing about length', []],
      ['a Last-Modified', [['Last-Modified', httpDate(-1000)]]],
    ] as const)
      test(`a 204 with ${what} is stored and has neither length nor body`, async () => {
        const path = b.path();
        b.origin.on(path, { status: 204, headers: [...headers, ['Cache-Control', 'max-age=60']] });
        for (const answer of [await b.edge.get(path), await b.edge.get(path)])
          expect([answer.status, answer.field('content-length'), answer.body.length]).toEqual([204, undefined, 0]);
        expect(b.origin.hits(path)).toBe(1);
      });
  });

describe('POST that stands for GET', () => {
  const b = bench({ profile: 'rfc', disk: false });
  test('in profile rfc a POST whose Content-Location is its own target, with explicit freshness, answers a later GET', async () => {
    const path = b.path();
    b.origin.on(path, (seen) => ({
      headers: { ...FRESH, 'Content-Location': path },
      body: seen.method === 'POST' ? 'made' : 'got',
    }));
    expect((await b.edge.ask(path, { method: 'POST', body: 'x' })).text).toBe('made');
    await expect.poll(async () => cacheStatus(await b.edge.get(path)).hit, { timeout: 5000 }).toBe(true);
    expect((await b.edge.get(path)).text).toBe('made');
  });
  test('a POST about something else is not stored', async () => {
    const path = b.path();
    b.origin.on(path, { headers: { ...FRESH, 'Content-Location': `${path}x` }, body: 'made' });
    await b.edge.ask(path, { method: 'POST', body: 'x' });
    expect(cacheStatus(await b.edge.get(path)).hit).toBe(false);
  });
});
