import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type PlaceableAsset, sitePlacement } from './placement.ts';

const asset = (path: string, bytes: number, title = path, lastModifiedMillis = 0): PlaceableAsset => ({
  path,
  bytes,
  title,
  lastModifiedMillis,
});
const paths = (assets: readonly PlaceableAsset[] | undefined) => assets?.map(({ path }) => path);
const scores = (table: Record<string, number>) => (path: string) => table[path];
const many = (count: number, bytes: number) => Array.from({ length: count }, (_, i) => asset(`/f${i}`, bytes));
const edges = (count: number, capacityBytes: number) =>
  Array.from({ length: count }, (_, i) => ({ id: `e${i}`, capacityBytes }));

test('a catalogue that fits goes whole to every appliance, the most wanted first', () => {
  const { byAppliance, unplaced } = sitePlacement({
    assets: [asset('/cold', 10), asset('/hot', 10), asset('/warm', 10)],
    appliances: edges(2, 30),
    scoreOf: scores({ '/hot': 9, '/warm': 2 }),
  });
  expect(paths(byAppliance.get('e0'))).toEqual(['/hot', '/warm', '/cold']);
  expect(paths(byAppliance.get('e1'))).toEqual(['/hot', '/warm', '/cold']);
  expect(unplaced).toEqual([]);
});

test('copies are in proportion to popularity when not everything fits everywhere', () => {
  const { byAppliance } = sitePlacement({
    assets: [asset('/hit', 10), ...many(9, 10)],
    appliances: edges(4, 30),
    scoreOf: (path) => (path === '/hit' ? 100 : 1),
  });
  const holders = (path: string) => [...byAppliance.values()].filter((list) => paths(list)!.includes(path)).length;
  expect(holders('/hit')).toBe(4);
  // 4 × 3 places, 4 of them for the hit; each of the others is worth a first copy, none a second.
  expect(many(9, 10).map(({ path }) => holders(path))).toSatisfy((counts: number[]) => counts.every((n) => n <= 1));
  expect([...byAppliance.values()].flat()).toHaveLength(12);
});

test('a further copy of the popular is weighed against a first copy of the less popular', () => {
  const { byAppliance } = sitePlacement({
    assets: [asset('/six', 10), asset('/three', 10), asset('/two', 10)],
    appliances: edges(3, 20),
    scoreOf: scores({ '/six': 6, '/three': 3, '/two': 2 }),
  });
  const placed = [...byAppliance.values()].flat().map(({ path }) => path);
  expect(placed.sort()).toEqual(['/six', '/six', '/six', '/three', '/three', '/two']);
  const scarce = sitePlacement({
    assets: [asset('/six', 10), asset('/three', 10), asset('/two', 10)],
    appliances: edges(3, 10),
    scoreOf: scores({ '/six': 6, '/three': 3, '/two': 2 }),
  });
  expect(
    [...scarce.byAppliance.values()]
      .flat()
      .map(({ path }) => path)
      .sort(),
  ).toEqual(['/six', '/six', '/three']);
  expect(paths(scarce.unplaced)).toEqual(['/two']);
});

test('what does not fit is named, and something smaller takes the room', () => {
  const { byAppliance, unplaced } = sitePlacement({
    assets: [asset('/wide', 100), asset('/narrow', 5)],
    appliances: [{ id: 'e0', capacityBytes: 50 }],
    scoreOf: scores({ '/wide': 9, '/narrow': 1 }),
  });
  expect(paths(byAppliance.get('e0'))).toEqual(['/narrow']);
  expect(paths(unplaced)).toEqual(['/wide']);
});

test('files of a title lie together on the same appliances', () => {
  const ladder = Array.from({ length: 10 }, (_, i) => asset(`/film/${i}.m4s`, 1, 'film'));
  const { byAppliance } = sitePlacement({
    assets: [...ladder, ...many(200, 1)],
    appliances: edges(5, 100),
    scoreOf: (path) => (path.startsWith('/film/') ? 2 : 1.5),
  });
  for (const list of byAppliance.values())
    expect([0, 10]).toContain(paths(list)!.filter((path) => path.startsWith('/film/')).length);
});

test('a new file of a known title ranks with its siblings, other new files by age, newest first', () => {
  const { byAppliance } = sitePlacement({
    assets: [
      asset('/old', 1, 'old', 1),
      asset('/new', 1, 'new', 2),
      asset('/film/2', 1, 'film', 0),
      asset('/film/1', 1, 'film', 0),
    ],
    appliances: edges(1, 10),
    scoreOf: scores({ '/film/1': 5 }),
  });
  expect(paths(byAppliance.get('e0'))).toEqual(['/film/1', '/film/2', '/new', '/old']);
});

test('of two assets of about equal worth the one that is there stays', () => {
  const place = (heldBefore: boolean) =>
    sitePlacement({
      assets: [asset('/there', 10), asset('/rival', 10)],
      appliances: edges(1, 10),
      scoreOf: scores({ '/there': 100, '/rival': 105 }),
      heldBefore: (_, path) => heldBefore && path === '/there',
    }).byAppliance.get('e0');
  expect(paths(place(false))).toEqual(['/rival']);
  expect(paths(place(true))).toEqual(['/there']);
});

const site = fc.record({
  sizes: fc.array(fc.record({ bytes: fc.nat(1000), score: fc.option(fc.float({ min: 0, max: 50, noNaN: true })) }), {
    maxLength: 60,
  }),
  capacities: fc.array(fc.nat(8000), { minLength: 1, maxLength: 6 }),
  shuffled: fc.boolean(),
});

test('no appliance gets more than its capacity, nothing twice, and the order of the input does not matter', () => {
  fc.assert(
    fc.property(site, ({ sizes, capacities }) => {
      const assets = sizes.map(({ bytes }, i) => asset(`/f${i}`, bytes, `t${i % 7}`, i % 3));
      const appliances = capacities.map((capacityBytes, i) => ({ id: `e${i}`, capacityBytes }));
      const scoreOf = (path: string) => sizes[Number(path.slice(2))]!.score ?? undefined;
      const placed = sitePlacement({ assets, appliances, scoreOf });
      for (const { id, capacityBytes } of appliances) {
        const list = placed.byAppliance.get(id)!;
        expect(new Set(list).size).toBe(list.length);
        expect(list.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThanOrEqual(capacityBytes);
      }
      const held = new Set([...placed.byAppliance.values()].flat());
      for (const one of assets) expect(held.has(one)).toBe(!placed.unplaced.includes(one));
      const again = sitePlacement({ assets: assets.toReversed(), appliances: appliances.toReversed(), scoreOf });
      for (const { id } of appliances) expect(again.byAppliance.get(id)).toEqual(placed.byAppliance.get(id));
    }),
    { numRuns: 60 },
  );
});

test('one more appliance takes about its part of the placements and moves nothing else', () => {
  const assets = many(4000, 1);
  const place = (count: number) => {
    // Room for one copy of half the catalogue each: whole copies nowhere, about n/2 copies of each in all.
    const { byAppliance } = sitePlacement({ assets, appliances: edges(count, 2000), scoreOf: () => 1 });
    return new Set([...byAppliance].flatMap(([id, list]) => list.map(({ path }) => `${id} ${path}`)));
  };
  const five = place(5);
  const six = place(6);
  const lost = [...five].filter((placement) => !six.has(placement)).length;
  expect(five.size).toBe(10_000);
  expect(six.size).toBe(12_000);
  expect(lost / five.size).toBeLessThan(1.5 / 6);
});
