/** What outlives a process: stored responses, purges, and never half a body. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { begin, cacheStatus, Edge, gate, Origin, placed } from './harness.ts';

const FRESH = { 'Cache-Control': 'max-age=600', ETag: '"v"' };
const MiB = 1 << 20;

describe('a restart', () => {
  const origin = new Origin();
  let cacheDir = '';
  const start = (workers = 1) => Edge.start({ upstreams: [origin.url], cacheDir, workers });
  const names = (edge: Edge) => ({ Host: `edge.example.org`, 'X-Port': String(edge.port) });

  beforeAll(async () => {
    await origin.start();
    cacheDir = await mkdtemp(join(tmpdir(), 'nearcast-tests-disk-'));
  });
  afterAll(async () => {
    await origin.stop();
    await rm(cacheDir, { recursive: true, force: true });
  });

  test('what was stored is a hit after SIGKILL, what was purged is not, and half a body is nothing', async () => {
    const hold = gate();
    const whole = placed(3 * MiB, 1);
    const small = placed(1000, 2);
    const cut = placed(8 * MiB, 3);
    origin.on('/whole', { headers: FRESH, body: whole });
    origin.on('/small', { headers: FRESH, body: small });
    origin.on('/empty', { headers: FRESH, body: '' });
    origin.on('/purged', { headers: FRESH, body: 'old' }, { headers: FRESH, body: 'new' });
    origin.on(
      '/cut',
      {
        headers: { 'Cache-Control': 'max-age=600' },
        body: cut.subarray(0, 5 * MiB),
        rest: { after: hold, body: cut.subarray(5 * MiB) },
      },
      { headers: FRESH, body: cut },
    );
    const first = await start(2);
    for (const path of ['/whole', '/small', '/empty', '/purged'])
      await expect
        .poll(async () => cacheStatus(await first.get(path, names(first))).hit, { timeout: 10_000 })
        .toBe(true);
    const cutting = await begin(first.port, '/cut', { headers: names(first) });
    await cutting.received(4 * MiB);
    expect((await first.ask('/purged', { method: 'PURGE', headers: names(first) })).status).toBe(200);
    await first.kill();
    hold.open();
    await cutting.answer;
    const hits = ['/whole', '/small', '/empty'].map((path) => origin.hits(path));
    const second = await start(2);
    expect((await second.get('/whole', names(second))).body.equals(whole)).toBe(true);
    expect((await second.get('/small', names(second))).body.equals(small)).toBe(true);
    expect((await second.get('/empty', names(second))).field('content-length')).toBe('0');
    expect(['/whole', '/small', '/empty'].map((path) => origin.hits(path))).toEqual(hits);
    expect((await second.get('/purged', names(second))).text).toBe('new');
    const again = await second.get('/cut', names(second));
    expect([again.whole, again.body.equals(cut)]).toEqual([true, true]);
    await second.stop();
  });

  test('a range of a body that is stored in part goes on after a restart', async () => {
    const body = placed(5 * MiB, 4);
    origin.on('/part', (seen) => {
      const [, from = '0', to = ''] = /^bytes=(\d+)-(\d*)$/.exec(String(seen.headers.range ?? '')) ?? [];
      if (seen.headers.range === undefined) return { headers: FRESH, body };
      const end = to === '' ? body.length - 1 : Math.min(Number(to), body.length - 1);
      return {
        status: 206,
        headers: { ...FRESH, 'Content-Range': `bytes ${from}-${end}/${body.length}` },
        body: body.subarray(Number(from), end + 1),
      };
    });
    const first = await start();
    await first.get('/part', { ...names(first), Range: 'bytes=1048576-1048600' });
    await expect
      .poll(async () => {
        const { workers } = (await first.admin('/v1/stat')) as {
          workers: { counters: { upstream_requests_total: number } }[];
        };
        return workers.length;
      })
      .toBe(1);
    await first.stop();
    const second = await start();
    const part = await second.get('/part', { ...names(second), Range: 'bytes=1048570-1048600' });
    expect(part.body.equals(body.subarray(1048570, 1048601))).toBe(true);
    expect((await second.get('/part', names(second))).body.equals(body)).toBe(true);
    expect(
      origin
        .requests('/part')
        .slice(1)
        .every(({ headers }) => headers['if-range'] === '"v"'),
    ).toBe(true);
    await second.stop();
  });
});
