/** A fill through every part as it is: S3, origin gateway, region, four edges in two sites, control plane, command. */
import { execFile } from 'node:child_process';
import { createHash, randomFillSync } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ApplianceView, Catalogue, FillProgress } from '../control-plane/api.ts';
import { Box } from '../deploy/box.ts';
import { UP_OPTIONS } from '../deploy/up-options.ts';
import { parseOptions } from '../runtime/options.ts';

const COMMAND = join(import.meta.dirname, '..', 'deploy', 'command.ts');
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
const TOTAL = Object.values(CONTENT).reduce((sum, bytes) => sum + bytes, 0);

let folder: string;
let box: Box;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nearcast-fill-'));
  for (const [path, bytes] of Object.entries(CONTENT)) {
    const file = join(folder, 'content', path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, randomFillSync(Buffer.alloc(bytes)));
  }
  const portBase = await freePorts(18);
  const argv = [
    '--content',
    join(folder, 'content'),
    '--state',
    join(folder, 'state'),
    '--port-base',
    String(portBase),
  ];
  box = new Box(parseOptions(UP_OPTIONS, { part: 'up', argv: [...argv, '--quiet'], env: {} }), () => undefined);
  await box.start();
  await until('the control plane knows four healthy edges and the region', async () => {
    const appliances = (await json(`${box.plan.control}/v1/appliances`)) as ApplianceView[];
    return appliances.filter(({ state }) => state === 'healthy').length === 5 || JSON.stringify(appliances);
  });
  await until('the origin has digested the catalogue', async () => {
    const { assets } = await catalogue();
    return assets.length === Object.keys(CONTENT).length || `${assets.length} assets`;
  });
}, 240_000);

afterAll(async () => {
  await box?.close();
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
}, 60_000);

test('a fill brings every asset to every edge from one copy a site and one a region, and the first request is a hit', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [
    COMMAND,
    'fill',
    'run',
    '--now',
    '--json',
    '--timeout',
    '60s',
    '--control',
    box.plan.control,
  ]);
  const { appliances } = JSON.parse(stdout) as { appliances: { id: string; site: string; fill: FillProgress }[] };
  const { assets } = await catalogue();
  expect(assets).toHaveLength(Object.keys(CONTENT).length);
  expect(appliances).toHaveLength(4);
  for (const { fill } of appliances)
    expect(fill).toMatchObject({ state: 'done', assetsDone: assets.length, bytesDone: TOTAL, failures: [] });

  // What an edge had by a health probe before the fill is not received again, so these are upper bounds.
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

  for (const edge of box.plan.edges)
    for (const asset of assets) {
      const response = await fetch(edge.url + asset.path);
      const body = Buffer.from(await response.arrayBuffer());
      expect(`${asset.path} ${response.status}`).toBe(`${asset.path} 200`);
      // The last member is this edge's own (RFC 9211 §2); what a probe brought has the region's before it.
      expect(response.headers.get('cache-status')).toMatch(new RegExp(`(^|, )nearcast-${edge.name}; hit[^,]*$`));
      expect(createHash('sha256').update(body).digest('hex')).toBe(asset.sha256);
    }
  expect(await originBytes()).toBe(sentByOrigin);
}, 120_000);

test('a second fill finds everything in place and moves no byte', async () => {
  const before = await originBytes();
  const { stdout } = await promisify(execFile)(process.execPath, [
    COMMAND,
    'fill',
    'run',
    '--now',
    '--json',
    '--site',
    'b',
    '--control',
    box.plan.control,
  ]);
  const { appliances } = JSON.parse(stdout) as { appliances: { site: string; fill: FillProgress }[] };
  expect(appliances.map(({ site }) => site)).toEqual(['b', 'b']);
  for (const { fill } of appliances)
    expect(fill).toMatchObject({
      state: 'done',
      assetsDone: Object.keys(CONTENT).length,
      bytesBySource: { peer: 0, region: 0, origin: 0 },
    });
  expect(await originBytes()).toBe(before);
}, 60_000);

async function json(url: string): Promise<unknown> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return response.json();
}

async function catalogue(): Promise<Catalogue> {
  return (await json(`${box.plan.origin.admin}/v1/catalogue`)) as Catalogue;
}

/** Body bytes that the gateway has sent since it started. */
async function originBytes(): Promise<number> {
  const text = await (await fetch(`${box.plan.origin.admin}/metrics`)).text();
  return Number(/^nearcast_origin_body_bytes_total (\d+)/m.exec(text)![1]);
}

/** Asks again and again, for at most a minute; `holds` answers true, or what it sees instead. */
async function until(what: string, holds: () => Promise<true | string>): Promise<void> {
  const deadline = performance.now() + 60_000;
  for (;;) {
    const seen = await holds().catch(String);
    if (seen === true) return;
    if (performance.now() > deadline) throw new Error(`not within a minute: ${what}; last seen: ${seen}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** The first of `count` ports in a row that are free, below those that the system gives to clients. */
async function freePorts(count: number): Promise<number> {
  const isFree = (port: number) =>
    new Promise<boolean>((resolve) => {
      const server = createServer();
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
  for (let tries = 0; tries < 50; tries++) {
    const base = 20_000 + Math.floor(Math.random() * 10_000);
    const free = await Promise.all(Array.from({ length: count }, (_, i) => isFree(base + i)));
    if (free.every(Boolean)) return base;
  }
  throw new Error(`no ${count} free ports in a row`);
}
