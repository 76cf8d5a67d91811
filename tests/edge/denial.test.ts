/** What many or hostile clients cost: memory, the origin, and other clients nothing. */
import { describe, expect, test } from 'vitest';
import { begin, bench, cacheStatus, type Plain, placed, rawClient } from './harness.ts';

const MiB = 1 << 20;

describe('clients that never read', () => {
  const b = bench({ more: ['--memory', '64MiB', '--disk', '1GiB'] });
  const size = 200 * MiB;
  const piece = placed(4 * MiB);

  /** 200 MB without holding it: the same piece, at the speed of the connection. */
  const large = (headers: Record<string, string>) => (_seen: unknown, response: import('node:http').ServerResponse) => {
    response.writeHead(200, { ...headers, 'Content-Length': size });
    let sent = 0;
    const more = () => {
      while (sent < size) {
        sent += piece.length;
        if (!response.write(piece)) return void response.once('drain', more);
      }
      response.end();
    };
    more();
    return undefined;
  };

  for (const [what, headers] of [
    ['stored', { 'Cache-Control': 'max-age=600', ETag: '"v"' }],
    ['stored without a validator', { 'Cache-Control': 'max-age=600' }],
    ['not stored', { 'Cache-Control': 'no-store' }],
  ] as const)
    test(`twenty of a body of 200 MB that is ${what} do not fill the memory`, async () => {
      const path = b.path();
      b.origin.on(path, large(headers));
      const before = await b.edge.residentBytes();
      const clients = await Promise.all(
        Array.from({ length: 20 }, async () => {
          const client = await begin(b.edge.port, path, { deadlineMillis: 30_000 });
          client.message.pause();
          return client;
        }),
      );
      const other = b.path();
      b.origin.on(other, { headers: { 'Cache-Control': 'max-age=60' }, body: 'others are served' });
      for (let i = 0; i < 20; i++) expect((await b.edge.get(other)).text).toBe('others are served');
      const after = await b.edge.residentBytes();
      expect((after - before) / MiB).toBeLessThan(260);
      for (const client of clients) client.abort();
      expect((await b.edge.get(other)).status).toBe(200);
    }, 60_000);
});

describe('errors that a client can cause', () => {
  const b = bench({ disk: false, more: ['--memory', '16MiB'] });

  test('a head that is too large is refused here, and the resource stays well', async () => {
    const path = b.path();
    b.origin.on(path, (seen) =>
      Number(seen.headers['x-big']?.length ?? 0) > 4000
        ? { status: 400, headers: { 'Cache-Control': 'max-age=60' } }
        : { headers: { 'Cache-Control': 'max-age=60' }, body: 'good' },
    );
    const client = await rawClient(b.edge.port);
    client.send(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${b.edge.port}\r\nX-Big: ${'a'.repeat(20_000)}\r\n\r\n`);
    expect((await client.closed()).text).toMatch(/^HTTP\/1\.1 431/);
    expect((await b.edge.get(path, { 'X-Big': 'a'.repeat(8000) })).status).toBe(400);
    expect((await b.edge.get(path)).text).toBe('good');
  });

  test('a thousand cookies do not fill the memory, and no cookie stands in a field of ours', async () => {
    const path = b.path();
    b.origin.on(path, {
      headers: { 'Cache-Control': 'max-age=60', Vary: 'Cookie, User-Agent' },
      body: 'x'.repeat(20_000),
    });
    for (let from = 0; from < 1000; from += 50)
      await Promise.all(
        Array.from({ length: 50 }, async (_, i) => {
          const answer = await b.edge.get(path, { Cookie: `secret=${from + i}`, 'User-Agent': `u${from + i}` });
          expect(answer.raw.join('\n')).not.toContain('secret');
        }),
      );
    const stat = await b.edge.memory();
    expect(stat.bytes).toBeLessThanOrEqual(16 << 20);
    const last = await b.edge.get(path, { Cookie: 'secret=999', 'User-Agent': 'u999' });
    expect(last.status).toBe(200);
    expect(b.edge.output()).not.toContain('secret=');
  });

  test('a thousand unlike targets stay within the memory budget, and a hot one stays a hit', async () => {
    const hot = b.path();
    b.origin.on(hot, { headers: { 'Cache-Control': 'max-age=600' }, body: 'hot' });
    await b.edge.get(hot);
    const body = placed(100_000);
    for (let from = 0; from < 600; from += 30) {
      await Promise.all(
        Array.from({ length: 30 }, (_, i) => {
          const path = `/flood?x=${from + i}`;
          b.origin.on(path, { headers: { 'Cache-Control': 'max-age=600' }, body });
          return b.edge.get(path);
        }),
      );
      expect((await b.edge.get(hot)).text).toBe('hot');
    }
    expect(cacheStatus(await b.edge.get(hot)).hit).toBe(true);
    expect((await b.edge.memory()).bytes).toBeLessThanOrEqual(16 * MiB);
  });

  test('two hundred first bytes of a large body under as many names cost a slice each, at most', async () => {
    const body = placed(4 * MiB);
    let sent = 0;
    const ask = async (i: number) => {
      const path = `/big?rnd=${i}`;
      b.origin.on(path, (seen): Plain => {
        const range = /^bytes=(\d+)-(\d+)$/.exec(String(seen.headers.range ?? ''));
        const part = range === null ? body : body.subarray(Number(range[1]), Number(range[2]) + 1);
        sent += part.length;
        return range === null
          ? { headers: { ETag: '"v"', 'Cache-Control': 'max-age=60' }, body }
          : {
              status: 206,
              headers: {
                ETag: '"v"',
                'Cache-Control': 'max-age=60',
                'Content-Range': `bytes ${range[1]}-${Number(range[1]) + part.length - 1}/${body.length}`,
              },
              body: part,
            };
      });
      expect((await b.edge.get(path, { Range: 'bytes=0-0' })).body.length).toBe(1);
    };
    for (let from = 0; from < 40; from += 10) await Promise.all(Array.from({ length: 10 }, (_, i) => ask(from + i)));
    expect(sent).toBeLessThanOrEqual(40 * MiB);
  });

  test('clients that leave in the middle leave the edge well', async () => {
    const path = b.path();
    b.origin.on(path, { headers: { 'Cache-Control': 'max-age=60', ETag: '"v"' }, body: placed(8 * MiB) });
    for (let i = 0; i < 10; i++) {
      const client = await begin(b.edge.port, path);
      await client.received(1);
      client.abort();
    }
    expect((await b.edge.get(path)).body.equals(placed(8 * MiB))).toBe(true);
  });
});
