import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startBox, type TestBox } from './support/box.ts';
import { ask } from './support/http.ts';
import { until } from './support/until.ts';

const ROOT = join(import.meta.dirname, '..');
const FILM = join(ROOT, 'deploy/content/film');

describe('a CDN in a box', () => {
  let box: TestBox;

  beforeAll(async () => {
    box = await startBox({ argv: ['--restart-after', '2s', '--no-large-file'] });
    const { endpoints } = box;
    await until('every edge gets clients', 20_000, async () => {
      const answers = await Promise.all(
        ['127.0.0.7', '127.2.0.7'].map((from) => ask(`${endpoints.steering}/v1/steer?path=/x`, { from })),
      );
      return answers.every(({ body }) => JSON.parse(body.toString()).targets.length >= 3) ? true : undefined;
    });
  }, 120_000);

  afterAll(() => box?.close(), 30_000);

  test.each([
    ['127.0.0.1', 'a'],
    ['127.1.0.9', 'a'],
    ['127.2.0.7', 'b'],
  ])('a client at %s ends at an edge of ISP %s, with the bytes of the source', async (from, site) => {
    const { endpoints } = box;
    const answer = await ask(`${endpoints.steering}/film/master.m3u8`, { from, follow: true });
    const edges = endpoints.edges.filter((edge) => edge.site === site).map(({ url }) => url);
    expect(edges).toContain(new URL(answer.url).origin);
    expect(answer.status).toBe(200);
    expect(answer.fields['content-type']).toBe('application/vnd.apple.mpegurl');
    expect(answer.body).toEqual(await readFile(join(FILM, 'master.m3u8')));
  });

  test('a client of nobody ends at the stand-in', async () => {
    const { steering, standby } = box.endpoints;
    const answer = await ask(`${steering}/film/360p/index.m3u8`, { from: '127.9.0.1', follow: true });
    expect(new URL(answer.url).origin).toBe(standby);
    expect(answer.body).toEqual(await readFile(join(FILM, '360p/index.m3u8')));
  });

  test('the JSON face ranks targets with reasons, the stand-in last', async () => {
    const { steering, standby } = box.endpoints;
    const answer = await ask(`${steering}/v1/steer?path=/film/master.m3u8`, { from: '127.2.0.7' });
    const { targets } = JSON.parse(answer.body.toString());
    expect(targets.at(-1)).toMatchObject({ kind: 'standby', url: standby });
    expect(
      targets
        .slice(0, -1)
        .map(({ id }: { id: string }) => id)
        .sort(),
    ).toEqual(['b1', 'b2']);
    for (const { why } of targets) expect(why).not.toBe('');
  });

  test('the second request is a hit, and a range is a part of the same bytes', async () => {
    const url = `${box.endpoints.edges[0]!.url}/files/1m.bin`;
    const first = await ask(url);
    const second = await ask(url);
    expect(first.body.length).toBe(1024 * 1024);
    expect(second.fields['cache-status']).toMatch(/(^|, )nearcast-a1; hit/);
    expect(second.body.equals(first.body)).toBe(true);
    const part = await ask(url, { fields: { range: 'bytes=1000-1999' } });
    expect(part.status).toBe(206);
    expect(part.fields['content-range']).toBe('bytes 1000-1999/1048576');
    expect(part.body.equals(first.body.subarray(1000, 2000))).toBe(true);
  });

  test('sample files are empty, 1 KiB and 1 MiB, with the digest that the catalogue names', async () => {
    const { edges, originAdmin } = box.endpoints;
    const catalogue = JSON.parse((await ask(`${originAdmin}/v1/catalogue`)).body.toString());
    for (const [path, bytes] of [
      ['/files/0.bin', 0],
      ['/files/1k.bin', 1024],
      ['/files/1m.bin', 1024 * 1024],
    ] as const) {
      const { body } = await ask(`${edges[2]!.url}${path}`);
      const asset = catalogue.assets.find((one: { path: string }) => one.path === path);
      expect(body.length).toBe(bytes);
      expect(asset).toMatchObject({ bytes, sha256: createHash('sha256').update(body).digest('hex') });
    }
  });

  test('a second box on the same folder, and one on the same ports, end with one line and exit code 4', () => {
    const start = (...words: string[]) =>
      spawnSync(process.execPath, [join(ROOT, 'deploy/nearcast.js'), 'up', '--quiet', ...words], {
        encoding: 'utf8',
        timeout: 30_000,
      });
    const folder = start('--state', box.state, '--port-base', '17000');
    expect(folder).toMatchObject({ status: 4, stdout: '' });
    expect(folder.stderr).toMatch(/^error: state-in-use: .*--state\n$/);
    const ports = start('--state', `${box.state}/another`, '--port-base', String(box.portBase));
    expect(ports).toMatchObject({ status: 4, stdout: '' });
    expect(ports.stderr).toMatch(/^error: port-in-use: 127\.0\.0\.1:\d+ .*--port-base\n$/);
  });

  test('an edge that is killed comes back with a new pid and serves what it had stored', async () => {
    const before = box.endpoints.edges.find(({ id }) => id === 'b2')!;
    const url = `${before.url}/film/240p/segment-03.m4s`;
    const { body } = await ask(url);
    process.kill(before.pid, 'SIGKILL');
    const after = await until('a new pid', 30_000, async () => {
      const now = (await box.read()).edges.find(({ id }) => id === 'b2')!;
      return now.pid === before.pid ? undefined : now;
    });
    expect(after.url).toBe(before.url);
    const again = await ask(url);
    expect(again.body.equals(body)).toBe(true);
    expect(again.fields['cache-status']).toContain('; hit');
    expect(box.output()).toMatch(/b2 ended \(SIGKILL\); it starts again in 2 s/);
  }, 60_000);

  test('kill -9 of the box leaves no process; the next one on the folder keeps its content and ends with Ctrl-C', async () => {
    expect(box.output()).toMatch(/content: 40 files, 40 uploaded/);
    expect((await box.processes()).length).toBeGreaterThan(12);
    const { pids } = await box.read();
    process.kill(pids.box!, 'SIGKILL');
    await until('every process ended', 10_000, async () => ((await box.processes()).length === 0 ? true : undefined));

    const next = await startBox({ state: box.state, portBase: box.portBase, argv: ['--no-large-file'] });
    try {
      expect(next.output()).toMatch(/content: 40 files, 0 uploaded, 0 deleted/);
      const ended = new Promise((resolve) => next.launcher.once('exit', resolve));
      next.launcher.kill('SIGINT');
      expect(await ended).toBe(0);
      expect(await next.processes()).toEqual([]);
    } finally {
      await next.close();
    }
  }, 120_000);
});
