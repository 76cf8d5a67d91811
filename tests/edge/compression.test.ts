/** Compression by the edge: once, while a response is stored, and as another representation (RFC 9110 §8.8.3, §7.7). */
import { brotliDecompressSync, gunzipSync, gzipSync, zstdDecompressSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Configured } from './configured.ts';
import { cacheStatus, gate, Origin, placed } from './harness.ts';

const BODY = 'a page that repeats itself. '.repeat(200);
const PAGE = { 'Content-Type': 'text/html; charset=utf-8', 'Cache-Control': 'max-age=60', ETag: '"1"' };

for (const workers of [1, 2])
  describe(`${workers} workers`, () => {
    const origin = new Origin();
    let configured: Configured;
    let paths = 0;
    const path = () => `/c-${++paths}`;
    const get = (target: string, coding: string | undefined, more: Record<string, string> = {}) =>
      configured.edge.get(target, { ...(coding === undefined ? {} : { 'Accept-Encoding': coding }), ...more });
    beforeAll(async () => {
      await origin.start();
      const compression = { encodings: ['br', 'zstd', 'gzip'], minimum: 100 };
      const services = [{ name: 'site', hosts: ['*'], upstreams: [origin.url], compression }];
      configured = await Configured.start({ services }, { workers });
    });
    afterAll(async () => {
      await configured?.stop();
      await origin.stop();
    });

    test.each([
      ['gzip', 'gzip', gunzipSync],
      ['gzip, deflate, br', 'br', brotliDecompressSync],
      ['zstd, gzip', 'zstd', zstdDecompressSync],
      ['br;q=0, gzip', 'gzip', gunzipSync],
    ] as const)(
      'a client of %j gets %s, compressed once, with a weak validator and Vary',
      async (accepts, coding, decompress) => {
        const target = path();
        origin.on(target, { headers: { ...PAGE, 'Accept-Ranges': 'bytes', 'Content-MD5': 'x' }, body: BODY });
        const first = await get(target, accepts);
        await expect.poll(async () => cacheStatus(await get(target, accepts)).hit).toBe(true);
        const second = await get(target, accepts);
        for (const answer of [first, second]) {
          expect([answer.status, answer.whole, answer.field('content-encoding'), answer.field('etag')]).toEqual([
            200,
            true,
            coding,
            'W/"1"',
          ]);
          expect(answer.field('vary')).toBe('accept-encoding');
          expect([answer.field('accept-ranges'), answer.field('content-md5')]).toEqual([undefined, undefined]);
          expect(decompress(answer.body).toString()).toBe(BODY);
        }
        expect(second.field('content-length')).toBe(String(second.body.length));
        expect(second.body.length).toBeLessThan(BODY.length / 4);
        expect(origin.hits(target)).toBe(1);
        expect(origin.requests(target)[0]!.headers['accept-encoding']).toBe(coding);
      },
    );

    test('others get it as it is, with the strong validator and the same Vary, and neither gets the other\u2019s', async () => {
      const target = path();
      origin.on(target, { headers: PAGE, body: BODY });
      await get(target, 'gzip');
      const plain = await get(target, undefined);
      expect([plain.text, plain.field('content-encoding'), plain.field('etag'), plain.field('vary')]).toEqual([
        BODY,
        undefined,
        '"1"',
        'accept-encoding',
      ]);
      await expect.poll(async () => cacheStatus(await get(target, 'identity')).hit).toBe(true);
      await expect.poll(async () => cacheStatus(await get(target, 'gzip')).hit).toBe(true);
      expect(gunzipSync((await get(target, 'gzip')).body).toString()).toBe(BODY);
      expect((await get(target, 'identity')).text).toBe(BODY);
    });

    test('a condition with its tag is 304, If-Match and If-Range never match it, a range of it is the whole', async () => {
      const target = path();
      origin.on(target, { headers: { ...PAGE, 'Last-Modified': 'Mon, 01 Jan 2024 00:00:00 GMT' }, body: BODY });
      await get(target, 'br');
      await expect.poll(async () => cacheStatus(await get(target, 'br')).hit).toBe(true);
      const notModified = await get(target, 'br', { 'If-None-Match': 'W/"1"' });
      expect([notModified.status, notModified.field('etag'), notModified.field('vary')]).toEqual([
        304,
        'W/"1"',
        'accept-encoding',
      ]);
      expect((await get(target, 'br', { 'If-Match': 'W/"1"' })).status).toBe(412);
      for (const range of [
        { Range: 'bytes=0-9' },
        { Range: 'bytes=0-9', 'If-Range': '"1"' },
        { Range: 'bytes=0-9', 'If-Range': 'Mon, 01 Jan 2024 00:00:00 GMT' },
      ]) {
        const answer = await get(target, 'br', range as unknown as Record<string, string>);
        expect([answer.status, brotliDecompressSync(answer.body).toString()]).toEqual([200, BODY]);
      }
      expect((await get(target, 'identity', { Range: 'bytes=2-5' })).text).toBe(BODY.slice(2, 6));
    });

    test('HEAD says what GET says, before and after it is stored', async () => {
      const target = path();
      origin.on(target, { headers: PAGE, body: BODY });
      const head = () => configured.edge.ask(target, { method: 'HEAD', headers: { 'Accept-Encoding': 'gzip' } });
      const before = await head();
      expect([
        before.field('content-encoding'),
        before.field('etag'),
        before.field('vary'),
        before.field('content-length'),
      ]).toEqual(['gzip', 'W/"1"', 'accept-encoding', undefined]);
      await get(target, 'gzip');
      await expect.poll(async () => cacheStatus(await get(target, 'gzip')).hit).toBe(true);
      const after = await head();
      const got = await get(target, 'gzip');
      expect([after.field('content-encoding'), after.field('etag'), after.field('content-length')]).toEqual([
        'gzip',
        'W/"1"',
        String(got.body.length),
      ]);
    });

    test.each([
      ['no-transform', { ...PAGE, 'Cache-Control': 'max-age=60, no-transform' }, BODY],
      ['a type that is not listed', { ...PAGE, 'Content-Type': 'video/mp4' }, BODY],
      ['a short body', PAGE, 'short'],
      ['what may not be stored', { ...PAGE, 'Cache-Control': 'no-store' }, BODY],
      ['what has a coding already', { ...PAGE, 'Content-Encoding': 'gzip' }, gzipSync(BODY)],
    ] as const)('%s stays as it is', async (_, headers, body) => {
      const target = path();
      origin.on(target, { headers, body });
      for (let i = 0; i < 2; i++) {
        const answer = await get(target, 'gzip');
        expect([answer.field('etag'), answer.body.equals(Buffer.from(body))]).toEqual(['"1"', true]);
        expect(answer.field('content-encoding')).toBe('Content-Encoding' in headers ? 'gzip' : undefined);
      }
      const head = await configured.edge.ask(target, { method: 'HEAD', headers: { 'Accept-Encoding': 'gzip' } });
      expect([head.field('etag'), head.field('content-length')]).toEqual(['"1"', String(Buffer.byteLength(body))]);
    });

    test('it is revalidated with the origin and stays what it is, also where the 304 names another Vary', async () => {
      const target = path();
      const headers = { ...PAGE, 'Cache-Control': 'max-age=0', Vary: 'Origin' };
      origin.on(target, (seen) =>
        seen.headers['if-none-match'] === 'W/"1"' ? { status: 304, headers } : { headers, body: BODY },
      );
      await get(target, 'gzip');
      await expect.poll(async () => cacheStatus(await get(target, 'gzip')).parameters.get('fwd-status')).toBe('304');
      const again = await get(target, 'gzip');
      expect([gunzipSync(again.body).toString(), again.field('etag')]).toEqual([BODY, 'W/"1"']);
      expect(origin.requests(target).filter(({ headers: asked }) => asked['if-none-match'] === undefined)).toHaveLength(
        1,
      );
    });

    test('several clients that wait for it get it from one fetch, while it still arrives', async () => {
      const target = path();
      const end = gate();
      origin.on(target, { headers: PAGE, body: BODY, chunked: true, rest: { after: end, body: BODY } });
      const answers = Array.from({ length: 5 }, () => get(target, 'gzip'));
      await origin.asked(target, 1);
      end.open();
      for (const answer of await Promise.all(answers)) expect(gunzipSync(answer.body).toString()).toBe(BODY + BODY);
      expect(origin.hits(target)).toBe(1);
    });

    test('a large body arrives whole and is stored in slices', async () => {
      const target = path();
      const body = placed(6 << 20);
      origin.on(target, { headers: { ...PAGE, 'Content-Type': 'application/json' }, body });
      expect(gunzipSync((await get(target, 'gzip')).body).equals(body)).toBe(true);
      await expect.poll(async () => cacheStatus(await get(target, 'gzip')).hit).toBe(true);
      expect(gunzipSync((await get(target, 'gzip')).body).equals(body)).toBe(true);
    });

    test('a body that is cut short is neither ended as whole nor stored', async () => {
      const target = path();
      origin.on(target, { headers: PAGE, body: BODY, cutAt: BODY.length * 2 }, { headers: PAGE, body: BODY });
      expect((await get(target, 'gzip')).whole).toBe(false);
      const again = await get(target, 'gzip');
      expect([gunzipSync(again.body).toString(), cacheStatus(again).hit]).toEqual([BODY, false]);
    });

    test('a part of what would be compressed is a part of the uncompressed form', async () => {
      const target = path();
      const body = placed(3 << 20);
      origin.on(target, (seen) => {
        const range = /^bytes=(\d+)-(\d*)$/.exec((seen.headers.range as string) ?? '');
        if (range === null) return { headers: { ...PAGE, 'Content-Type': 'text/plain' }, body };
        const [start, last] = [Number(range[1]), Math.min(Number(range[2] || body.length), body.length - 1)];
        const headers = {
          ...PAGE,
          'Content-Type': 'text/plain',
          'Content-Range': `bytes ${start}-${last}/${body.length}`,
        };
        return { status: 206, headers, body: body.subarray(start, last + 1) };
      });
      const part = await get(target, 'gzip', { Range: 'bytes=100-199' });
      expect([part.status, part.field('etag'), part.body.equals(body.subarray(100, 200))]).toEqual([206, '"1"', true]);
      const whole = await get(target, 'gzip');
      const bytes = whole.field('content-encoding') === 'gzip' ? gunzipSync(whole.body) : whole.body;
      expect(bytes.equals(body)).toBe(true);
    });
  });
