/** The contract of `State`, run on every implementation. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SqliteState } from './sqlite-state.ts';
import type { ApplianceRecord, State } from './state.ts';

interface Place {
  /** Opens the same state again and again. */
  open(): State;
  clean(): Promise<void>;
}

const IMPLEMENTATIONS: readonly (readonly [string, () => Promise<Place>])[] = [
  [
    'SQLite',
    async () => {
      const folder = await mkdtemp(join(tmpdir(), 'nearcast-state-'));
      return {
        open: () => new SqliteState(join(folder, 'control.sqlite')),
        clean: () => rm(folder, { recursive: true, force: true }),
      };
    },
  ],
];

const record: ApplianceRecord = {
  id: 'a1',
  site: 'a',
  role: 'edge',
  url: 'http://127.0.0.1:1',
  admin: 'http://127.0.0.1:2',
  pid: 1,
  order: 'none',
  budgetBytes: 10,
};
const everything = { selector: { kind: 'everything' }, soft: true, atMillis: 5 } as const;

describe.each(IMPLEMENTATIONS)('the state in %s', (_, make) => {
  let place: Place;
  let state: State;
  beforeEach(async () => {
    place = await make();
    state = place.open();
  });
  afterEach(async () => {
    await state.close();
    await place.clean();
  });
  const reopen = async () => {
    await state.close();
    state = place.open();
  };

  it('keeps sites in order, and replaces them as a whole', async () => {
    const site = (id: string) => ({ id, name: id, prefixes: ['10.0.0.0/8'], timeZone: 'UTC', next: [] });
    await state.putSites([site('b'), site('a')]);
    await reopen();
    expect((await state.sites()).map(({ id }) => id)).toEqual(['b', 'a']);
    await state.putSites([site('c')]);
    expect((await state.sites()).map(({ id }) => id)).toEqual(['c']);
  });

  it('keeps an appliance, and the newest of what is known of it', async () => {
    await state.putAppliance(record);
    await state.putAppliance({ ...record, order: 'draining' });
    await reopen();
    expect(await state.appliances()).toEqual([{ ...record, order: 'draining' }]);
  });

  it('numbers purges one after the other, over restarts', async () => {
    const first = await state.appendPurges([everything, everything]);
    expect(first.entries.map(({ number }) => number)).toEqual([1, 2]);
    await reopen();
    const { request } = await state.appendPurges([{ ...everything, soft: false }]);
    expect(request).toMatchObject({ first: 3, last: 3, atMillis: 5 });
    expect(await state.newestPurge()).toBe(3);
    expect((await state.purgesAfter(1, 10)).map(({ number, soft }) => [number, soft])).toEqual([
      [2, true],
      [3, false],
    ]);
    expect(await state.purgesAfter(0, 2)).toHaveLength(2);
    expect(await state.purgesAfter(3, 10)).toEqual([]);
    expect(await state.purgeRequest(request.id)).toEqual(request);
    expect(await state.purgeRequest('nonsense')).toBeUndefined();
  });

  it('gives no purge a number that an appliance has seen already', async () => {
    await state.raisePurgeNumber(50);
    await state.raisePurgeNumber(20);
    expect(await state.newestPurge()).toBe(50);
    expect((await state.appendPurges([everything])).request.first).toBe(51);
  });

  it('keeps one manifest for each appliance', async () => {
    const manifest = (appliance: string, version: number) => ({
      version,
      appliance,
      now: true,
      assets: [],
      sources: [],
    });
    await state.putManifests([manifest('a1', 1), manifest('a2', 1)]);
    await state.putManifests([manifest('a1', 2)]);
    await reopen();
    expect((await state.manifest('a1'))?.version).toBe(2);
    expect((await state.manifests()).map(({ version }) => version)).toEqual([2, 1]);
    expect(await state.manifest('nobody')).toBeUndefined();
  });

  it('never gives a number of a series twice', async () => {
    expect(await state.reserveNumbers('snapshot', 1000)).toBe(1);
    await reopen();
    expect(await state.reserveNumbers('snapshot', 10)).toBe(1001);
    expect(await state.reserveNumbers('snapshot', 10, 5000)).toBe(5001);
    expect(await state.reserveNumbers('manifest', 1)).toBe(1);
  });

  it('keeps events, newest last', async () => {
    for (const text of ['one', 'two', 'three'])
      await state.appendEvent({ at: '2026-01-01T00:00:00Z', kind: 'control', text });
    await reopen();
    const events = await state.events(2);
    expect(events.map(({ text }) => text)).toEqual(['two', 'three']);
    expect(events[0]!.number).toBeLessThan(events[1]!.number);
  });

  it('keeps popularity by site, a site as a whole', async () => {
    await state.putPopularity(
      'a',
      new Map([
        ['/x', { score: 1.5, atMillis: 7 }],
        ['/y', { score: 1, atMillis: 7 }],
      ]),
    );
    await state.putPopularity('b', new Map([['/x', { score: 2, atMillis: 8 }]]));
    await state.putPopularity('a', new Map([['/x', { score: 3, atMillis: 9 }]]));
    await reopen();
    const popularity = await state.popularity();
    expect([...popularity.get('a')!]).toEqual([['/x', { score: 3, atMillis: 9 }]]);
    expect([...popularity.get('b')!]).toEqual([['/x', { score: 2, atMillis: 8 }]]);
  });

  it('closes twice as well as once', async () => {
    await state.close();
    await state.close();
  });
});

describe('an SQLite file', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'nearcast-state-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('that is none is one clear fault', async () => {
    const file = join(folder, 'control.sqlite');
    await writeFile(file, 'this is not a database, however long it goes on '.repeat(100));
    expect(() => new SqliteState(file)).toThrowError(
      expect.objectContaining({ code: 'state-unusable', fix: expect.stringContaining('--state') }),
    );
  });

  it('of a newer version is left alone', () => {
    const file = join(folder, 'control.sqlite');
    const database = new DatabaseSync(file);
    database.exec('PRAGMA user_version = 999');
    database.close();
    expect(() => new SqliteState(file)).toThrowError(expect.objectContaining({ code: 'state-newer' }));
  });
});
