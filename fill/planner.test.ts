import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Catalogue, HealthState } from '../control-plane/api.ts';
import { electedFetcher, type PlanInput, planManifests } from './planner.ts';
import { DEFAULT_WINDOW } from './window.ts';

const catalogue = (count: number, bytes = 10): Catalogue => ({
  version: 1,
  assets: Array.from({ length: count }, (_, i) => ({
    path: `/f${i}`,
    bytes,
    sha256: `${i}`,
    etag: `"${i}"`,
    contentType: 'video/mp4',
    lastModifiedMillis: 0,
    title: `f${i}`,
  })),
});
const edge = (id: string, site: string, state?: HealthState) => ({
  id,
  site,
  role: 'edge' as const,
  url: `http://${id}.example.org`,
  budgetBytes: 100_000,
  ...(state === undefined ? {} : { state }),
});
const region = (id: string) => ({ ...edge(id, 'region'), role: 'region' as const });
const plan = (changes: Partial<PlanInput> = {}) =>
  planManifests({
    catalogue: catalogue(40),
    appliances: [edge('a1', 'a'), edge('a2', 'a'), edge('b1', 'b'), region('r1')],
    popularity: new Map(),
    sites: [],
    origin: { id: 'origin', url: 'http://origin.example.org' },
    version: 7,
    now: true,
    atMillis: 0,
    ...changes,
  });

test('each edge has a manifest of the asked version; the region has none, for it fills by being asked', () => {
  const manifests = plan();
  expect(manifests.map(({ appliance, version, now }) => [appliance, version, now])).toEqual([
    ['a1', 7, true],
    ['a2', 7, true],
    ['b1', 7, true],
  ]);
  for (const { assets } of manifests) expect(assets).toHaveLength(40);
});

test('sources are the peers of the site, then the region, then the origin', () => {
  const [a1, , b1] = plan();
  expect(a1!.sources).toEqual([
    { kind: 'peer', id: 'a2', url: 'http://a2.example.org' },
    { kind: 'region', id: 'r1', url: 'http://r1.example.org' },
    { kind: 'origin', id: 'origin', url: 'http://origin.example.org' },
  ]);
  expect(b1!.sources.map(({ id }) => id)).toEqual(['r1', 'origin']);
});

test('an appliance that is down is planned for but neither elected nor a source', () => {
  const [a1, a2] = plan({ appliances: [edge('a1', 'a'), edge('a2', 'a', 'unhealthy')] });
  expect(a2!.assets).toHaveLength(40);
  expect(new Set(a1!.assets.map(({ fetcher }) => fetcher))).toEqual(new Set(['a1']));
  expect(a1!.sources.map(({ id }) => id)).toEqual(['origin']);
});

test('a site names its own regions in order, its zone and its window', () => {
  const [a1] = plan({
    appliances: [edge('a1', 'a'), region('r1'), region('r2')],
    sites: [{ id: 'a', zone: 'Europe/Berlin', regions: ['r2', 'r1', 'gone'] }],
  });
  expect(a1!.sources.map(({ id }) => id)).toEqual(['r2', 'r1', 'origin']);
  expect(a1!.window).toEqual({ zone: 'Europe/Berlin', ...DEFAULT_WINDOW });
});

test('a plan for one site leaves the others alone', () => {
  expect(plan({ site: 'b' }).map(({ appliance }) => appliance)).toEqual(['b1']);
  expect(plan({ site: 'nowhere' })).toEqual([]);
});

test('the most asked-for bytes come first, by decayed score of the site', () => {
  const day = 86_400_000;
  const [, , b1] = plan({
    catalogue: catalogue(3),
    atMillis: 2 * day,
    popularity: new Map([
      ['a', new Map([['/f0', { score: 1000, atMillis: 2 * day }]])],
      [
        'b',
        new Map([
          ['/f2', { score: 3, atMillis: 2 * day }],
          ['/f1', { score: 8, atMillis: 0 }],
        ]),
      ],
    ]),
  });
  expect(b1!.assets.map(({ path }) => path)).toEqual(['/f2', '/f1', '/f0']);
});

test('exactly one appliance of a site is elected for each asset, one that holds it, and all agree on it', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 400 }), (count, budgetBytes) => {
      const appliances = Array.from({ length: count }, (_, i) => ({ ...edge(`a${i}`, 'a'), budgetBytes }));
      const elected = new Map<string, string>();
      const manifests = plan({ appliances, catalogue: catalogue(30) });
      for (const { assets } of manifests)
        for (const { path, fetcher } of assets) {
          expect(elected.get(path) ?? fetcher).toBe(fetcher);
          elected.set(path, fetcher!);
        }
      for (const [path, fetcher] of elected)
        expect(
          manifests.find(({ appliance }) => appliance === fetcher)!.assets.some((asset) => asset.path === path),
        ).toBe(true);
    }),
    { numRuns: 50 },
  );
});

test('one that elects by itself comes to the plan\u2019s choice', () => {
  const [a1] = plan();
  const members = [{ id: 'a2' }, { id: 'a1' }];
  for (const { path, fetcher } of a1!.assets) expect(electedFetcher(path, members)).toBe(fetcher);
});

test('the elections spread evenly, and one appliance more takes over only what it wins', () => {
  const three = ['a', 'b', 'c'].map((id) => ({ id }));
  const four = [...three, { id: 'd' }];
  const counts = new Map<string, number>();
  for (let i = 0; i < 6000; i++) {
    const before = electedFetcher(`/film/${i}.m4s`, three)!;
    const after = electedFetcher(`/film/${i}.m4s`, four)!;
    if (after !== 'd') expect(after).toBe(before);
    counts.set(after, (counts.get(after) ?? 0) + 1);
  }
  for (const { id } of four) expect(counts.get(id)).toBeGreaterThan(1350);
  for (const { id } of four) expect(counts.get(id)).toBeLessThan(1650);
});
