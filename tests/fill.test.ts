/** A fill through every part as it is: S3, origin gateway, region, four edges in two sites, control plane, command. */
import { execFile } from 'node:child_process';
import { createHash, randomFillSync } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ApplianceView, Catalogue, FillProgress } from '../control-plane/api.ts';
import { startBox, type TestBox } from './support/box.ts';
import { ask } from './support/http.ts';
import { until } from './support/until.ts';

const COMMAND = join(import.meta.dirname, '..', 'deploy', 'nearcast.js');
/** Path → length: empty, tiny, one slice and a byte, several slices, and a name that a URL must escape. */
const CONTENT: Readonly<Record<string, number>> = {
  'film/init.mp4': 700,
  'film/1.m4s': 400_000,
  'film/2.m4s': 400_001,
  'files/empty.bin': 0,
  'files/slice.bin': (1 << 20) + 1,
  'files/large.bin': 9_000_000,
  'files/a name, 100 %.txt': 5000,
};
const ASSETS = Object.keys(CONTENT).length;
const TOTAL = Object.values(CONTENT).reduce((sum, bytes) => sum + bytes, 0);

interface Receipt {
  readonly appliances: readonly { readonly id: string; readonly site: string; readonly fill: FillProgress }[];
}

let content: string;
let box: TestBox;

beforeAll(async () => {
  content = await mkdtemp(join(tmpdir(), 'nearcast-content-'));
  for (const [path, bytes] of Object.entries(CONTENT)) {
    await mkdir(dirname(join(content, path)), { recursive: true });
    await writeFile(join(content, path), randomFillSync(Buffer.alloc(bytes)));
  }
  box = await startBox({ argv: ['--content', content] });
  await until('four healthy edges and the region at the control plane', 60_000, async () => {
    const appliances = (await json(`${box.endpoints.control}/v1/appliances`)) as ApplianceView[];
    return appliances.filter(({ state }) => state === 'healthy').length === 5 ? true : undefined;
  });
  await until('every asset with its digest in the catalogue', 60_000, async () =>
    (await catalogue()).assets.length === ASSETS ? true : undefined,
  );
}, 240_000);

afterAll(async () => {
  await box?.close();
  if (content !== undefined) await rm(content, { recursive: true, force: true });
}, 60_000);

test('a fill brings every asset to every edge, one copy a region and one a site, and the first request is a hit', async () => {
  const { appliances } = await fill('--timeout', '60s');
  const { assets } = await catalogue();
  expect(appliances.map(({ id }) => id)).toEqual(box.endpoints.edges.map(({ id }) => id));
  for (const { fill } of appliances)
    expect(fill).toMatchObject({ state: 'done', assetsDone: ASSETS, bytesDone: TOTAL, failures: [] });

  // What a health probe brought before the fill is not received again, so the outside is bounded from above alone.
  for (const site of ['a', 'b']) {
    const received = appliances.filter((one) => one.site === site).map(({ fill }) => fill.bytesBySource);
    const outside = received.reduce((sum, { region, origin }) => sum + region + origin, 0);
    const inside = received.reduce((sum, { peer }) => sum + peer, 0);
    expect(outside).toBeLessThanOrEqual(1.05 * TOTAL);
    expect(inside).toBeGreaterThan(0.5 * TOTAL);
  }
  const sentByOrigin = await originBytes();
  expect(sentByOrigin).toBeGreaterThanOrEqual(TOTAL);
  expect(sentByOrigin).toBeLessThanOrEqual(1.05 * TOTAL);

  for (const { id, url } of box.endpoints.edges)
    for (const { path, sha256 } of assets) {
      const { status, fields, body } = await ask(url + path);
      expect(`${path} ${status}`).toBe(`${path} 200`);
      // The last member is this edge's own (RFC 9211 §2); what a probe brought has the region's before it.
      expect(fields['cache-status']).toMatch(new RegExp(`(^|, )nearcast-${id}; hit[^,]*$`));
      expect(createHash('sha256').update(body).digest('hex')).toBe(sha256);
    }
  expect(await originBytes()).toBe(sentByOrigin);
}, 120_000);

test('a second fill finds everything in place and moves no byte', async () => {
  const before = await originBytes();
  const { appliances } = await fill('--site', 'b');
  expect(appliances.map(({ site }) => site)).toEqual(['b', 'b']);
  for (const { fill } of appliances)
    expect(fill).toMatchObject({
      state: 'done',
      assetsDone: ASSETS,
      bytesBySource: { peer: 0, region: 0, origin: 0 },
    });
  expect(await originBytes()).toBe(before);
}, 60_000);

/** `nearcast fill run --now`, as an operator runs it; rejects unless it ends with 0. */
async function fill(...argv: string[]): Promise<Receipt> {
  const words = ['fill', 'run', '--now', '--json', '--control', box.endpoints.control, ...argv];
  const { stdout } = await promisify(execFile)(process.execPath, [COMMAND, ...words]);
  return JSON.parse(stdout) as Receipt;
}

async function json(url: string): Promise<unknown> {
  const { status, body } = await ask(url);
  if (status !== 200) throw new Error(`${url}: ${status}`);
  return JSON.parse(body.toString());
}

async function catalogue(): Promise<Catalogue> {
  return (await json(`${box.endpoints.originAdmin}/v1/catalogue`)) as Catalogue;
}

/** Body bytes that the gateway has sent since it started. */
async function originBytes(): Promise<number> {
  const { body } = await ask(`${box.endpoints.originAdmin}/metrics`);
  return Number(/^nearcast_origin_body_bytes_total (\d+)/m.exec(body.toString())![1]);
}
