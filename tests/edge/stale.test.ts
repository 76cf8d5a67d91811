/** When a stale response may answer, and how a failing origin is spared (RFC 9111 §4.2.4, RFC 5861). */
import { describe, expect, test } from 'vitest';
import { bench, cacheStatus, Edge, gate, Origin } from './harness.ts';

const STALE_NOW = ['Age', '1000'] as const;

const benches = { safe: bench({ profile: 'safe' }), rfc: bench({ profile: 'rfc' }) };

for (const profile of ['safe', 'rfc'] as const)
  describe(`profile ${profile}`, () => {
    const b = benches[profile];

    for (const directive of ['must-revalidate', 'proxy-revalidate', 'no-cache', 's-maxage=1'])
      test(`a client's max-stale does not get a stale response past ${directive}`, async () => {
        const path = b.path();
        b.origin.on(
          path,
          { headers: [['Cache-Control', `max-age=1, ${directive}`], ['ETag', '"v"'], STALE_NOW], body: 'old' },
          { headers: { 'Cache-Control': 'no-store' }, body: 'new' },
        );
        await b.edge.get(path);
        expect((await b.edge.get(path, { 'Cache-Control': 'max-stale=99999' })).text).toBe('new');
      });

    for (const status of [500, 502, 503, 504])
      test(`a stale response answers for an origin that says ${status}, again and again`, async () => {
        const path = b.path();
        b.origin.on(
          path,
          { headers: [['Cache-Control', 'max-age=1, stale-if-error=5000'], STALE_NOW], body: 'good' },
          { status, body: 'bad' },
        );
        await b.edge.get(path);
        for (let i = 0; i < 3; i++) {
          const answer = await b.edge.get(path);
          expect([answer.status, answer.text]).toEqual([200, 'good']);
        }
      });

    test('an empty stale response stands in as any other does', async () => {
      const path = b.path();
      b.origin.on(
        path,
        { headers: [['Cache-Control', 'max-age=1, stale-if-error=5000'], STALE_NOW], body: '' },
        { status: 503, body: 'bad' },
      );
      await b.edge.get(path);
      for (let i = 0; i < 3; i++) {
        const answer = await b.edge.get(path);
        expect([answer.status, answer.text, answer.field('content-length')]).toEqual([200, '', '0']);
      }
    });

    test('a stale response answers when the origin resets the connection', async () => {
      const path = b.path();
      b.origin.on(
        path,
        { headers: [['Cache-Control', 'max-age=1, stale-if-error=5000'], STALE_NOW], body: 'good' },
        { bytes: '', ending: 'reset' },
      );
      await b.edge.get(path);
      const answer = await b.edge.get(path);
      expect([answer.status, answer.text]).toEqual([200, 'good']);
      expect(answer.field('cache-status')).toContain('detail=stale-if-error');
    });

    test('stale-if-error=0 gets the error', async () => {
      const path = b.path();
      b.origin.on(
        path,
        { headers: [['Cache-Control', 'max-age=1, stale-if-error=0'], ['ETag', '"v"'], STALE_NOW], body: 'good' },
        { status: 503, body: 'bad' },
      );
      await b.edge.get(path);
      expect((await b.edge.get(path)).status).toBe(503);
    });

    test('a response that must be revalidated gets the error, not the stale one', async () => {
      const path = b.path();
      b.origin.on(
        path,
        {
          headers: [['Cache-Control', 'max-age=1, must-revalidate, stale-if-error=5000'], ['ETag', '"v"'], STALE_NOW],
          body: 'x',
        },
        { status: 503, body: 'bad' },
      );
      await b.edge.get(path);
      expect((await b.edge.get(path)).status).toBe(503);
    });

    test('a 404 is the answer, not an error that stale stands in for', async () => {
      const path = b.path();
      b.origin.on(
        path,
        { headers: [['Cache-Control', 'max-age=1, stale-if-error=5000'], ['ETag', '"v"'], STALE_NOW], body: 'x' },
        { status: 404, body: 'gone' },
      );
      await b.edge.get(path);
      expect((await b.edge.get(path)).status).toBe(404);
    });

    test('an error for a client that stale could not help is not remembered as the response', async () => {
      const path = b.path();
      b.origin.on(path, { status: 503, body: 'bad' }, { headers: { 'Cache-Control': 'max-age=60' }, body: 'good' });
      expect((await b.edge.get(path)).status).toBe(503);
      expect((await b.edge.get(path)).text).toBe('good');
      expect(cacheStatus(await b.edge.get(path)).hit).toBe(true);
    });

    test('fifty clients of a failing origin cost it one request while stale stands in', async () => {
      const path = b.path();
      b.origin.on(
        path,
        { headers: [['Cache-Control', 'max-age=1, stale-if-error=5000'], STALE_NOW], body: 'good' },
        { status: 503, headers: { 'Retry-After': '60' }, body: 'bad' },
      );
      await b.edge.get(path);
      await b.edge.get(path);
      const answers = await Promise.all(Array.from({ length: 50 }, () => b.edge.get(path)));
      expect(answers.every(({ text }) => text === 'good')).toBe(true);
      expect(b.origin.hits(path)).toBe(2);
    });

    test('Retry-After as a date is heard too', async () => {
      const path = b.path();
      b.origin.on(
        path,
        { headers: [['Cache-Control', 'max-age=1, stale-while-revalidate=5000'], STALE_NOW], body: 'good' },
        { status: 503, headers: { 'Retry-After': new Date(Date.now() + 60_000).toUTCString() }, body: 'bad' },
      );
      await b.edge.get(path);
      await b.edge.get(path);
      await b.origin.asked(path, 2);
      for (let i = 0; i < 5; i++) expect((await b.edge.get(path)).text).toBe('good');
      expect(b.origin.hits(path)).toBe(2);
    });

    test('stale-while-revalidate answers at once, asks once for fifty clients, and what a 304 freshened is a hit', async () => {
      const path = b.path();
      const hold = gate();
      const headers = { 'Cache-Control': 'max-age=100, stale-while-revalidate=6000', ETag: '"v"' };
      b.origin.on(
        path,
        { headers: [...Object.entries(headers), STALE_NOW], body: 'x' },
        { status: 304, headers, hold },
      );
      await b.edge.get(path);
      const answers = await Promise.all(Array.from({ length: 50 }, () => b.edge.get(path)));
      expect(answers.every(({ text }) => text === 'x')).toBe(true);
      expect(answers.every((answer) => Number(answer.field('age')) >= 1000)).toBe(true);
      await b.origin.asked(path, 2);
      expect(b.origin.requests(path)[1]!.headers['if-none-match']).toBe('"v"');
      hold.open();
      await expect
        .poll(async () => Number((await b.edge.get(path)).field('age')), { timeout: 10_000 })
        .toBeLessThan(100);
      expect(b.origin.hits(path)).toBe(2);
    });

    test('a refresh behind a stale answer holds up neither it nor the next request on its connection', async () => {
      const [path, other] = [b.path(), b.path()];
      const hold = gate();
      b.origin.on(
        path,
        { headers: [['Cache-Control', 'max-age=100, stale-while-revalidate=6000'], STALE_NOW], body: 'x' },
        { headers: { 'Cache-Control': 'max-age=60' }, body: 'y', hold },
      );
      b.origin.on(other, { headers: { 'Cache-Control': 'max-age=60' }, body: 'other' });
      await b.edge.get(path);
      const { Agent } = await import('node:http');
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      expect((await b.edge.ask(path, { agent })).text).toBe('x');
      await b.origin.asked(path, 2);
      expect((await b.edge.ask(other, { agent })).text).toBe('other');
      hold.open();
      agent.destroy();
    });

    test('after the stale-while-revalidate window the client waits for the origin', async () => {
      const path = b.path();
      b.origin.on(
        path,
        {
          headers: [['Cache-Control', 'max-age=100, stale-while-revalidate=800'], ['ETag', '"v"'], STALE_NOW],
          body: 'x',
        },
        { headers: { 'Cache-Control': 'max-age=60' }, body: 'y' },
      );
      await b.edge.get(path);
      expect((await b.edge.get(path)).text).toBe('y');
    });

    test('only-if-cached gets 504 for what is not here', async () => {
      const path = b.path();
      b.origin.on(path, { body: 'x' });
      expect((await b.edge.get(path, { 'Cache-Control': 'only-if-cached' })).status).toBe(504);
      expect(b.origin.hits(path)).toBe(0);
    });
  });

describe('what clients wish', () => {
  const { rfc } = benches;

  for (const [wish, answered] of [
    ['max-stale', 'old'],
    ['max-stale=5000', 'old'],
    ['max-stale=1', 'new'],
  ] as const)
    test(`in profile rfc ${wish} gets the ${answered} response`, async () => {
      const path = rfc.path();
      rfc.origin.on(
        path,
        { headers: [['Cache-Control', 'max-age=100'], ['ETag', '"v"'], STALE_NOW], body: 'old' },
        { headers: { 'Cache-Control': 'max-age=60' }, body: 'new' },
      );
      await rfc.edge.get(path);
      expect((await rfc.edge.get(path, { 'Cache-Control': wish })).text).toBe(answered);
    });
});

test('an origin that has gone away altogether is stood in for, and asked again when it is back', async () => {
  const origin = await new Origin().start();
  const edge = await Edge.start({ upstreams: [origin.url], disk: false });
  const { port } = origin;
  origin.on('/a', { headers: [['Cache-Control', 'max-age=1, stale-if-error=5000'], STALE_NOW], body: 'good' });
  await edge.get('/a');
  await origin.stop();
  expect((await edge.get('/a')).text).toBe('good');
  expect((await edge.get('/b')).status).toBe(502);
  expect((await edge.get('/b')).field('proxy-status')).toContain('connection_refused');
  const again = await new Origin().start(port);
  again.on('/b', { body: 'back' });
  expect((await edge.get('/b')).text).toBe('back');
  await edge.stop();
  await again.stop();
});
