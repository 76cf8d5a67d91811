import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../runtime/log.ts';
import { type Snapshot, snapshotRefusal } from './snapshot.ts';
import { SnapshotStore } from './snapshot-store.ts';

function snapshot(number: number, changes: Partial<Snapshot> = {}): Snapshot {
  const sites = ['a', 'b', 'c', 'd'].map((id) => ({
    id,
    name: id,
    prefixes: [],
    next: [],
    state: 'open' as const,
    why: '',
  }));
  return {
    number,
    atMillis: 0,
    standby: { id: 'standby', url: 'http://standby.example.org' },
    sites,
    appliances: [],
    rankedTtlSeconds: 300,
    contentSteeringTtlSeconds: 300,
    frozen: null,
    ...changes,
  };
}

describe('a snapshot', () => {
  it('is refused when it is older or the same', () => {
    expect(snapshotRefusal(snapshot(5), snapshot(5))).toBe('older');
    expect(snapshotRefusal(snapshot(4), snapshot(5), true)).toBe('older');
    expect(snapshotRefusal(snapshot(6), snapshot(5))).toBeUndefined();
  });

  it.each([
    null,
    7,
    'x',
    [],
    {},
    { ...snapshot(1), sites: undefined },
    { ...snapshot(1), number: -1 },
    { ...snapshot(1), appliances: [{}] },
  ])('is refused when it is no snapshot: %j', (value) => {
    expect(snapshotRefusal(value, undefined)).toBe('not-a-snapshot');
  });

  it('is refused without a usable standby', () => {
    expect(snapshotRefusal(snapshot(1, { standby: { id: 's', url: '' } }), undefined)).toBe('no-standby');
  });

  it('is refused when much of the last one has vanished, unless an operator said so', () => {
    expect(snapshotRefusal(snapshot(2, { sites: [] }), snapshot(1))).toBe('sites-vanished');
    expect(snapshotRefusal(snapshot(2, { sites: snapshot(1).sites.slice(3) }), snapshot(1))).toBe('sites-vanished');
    expect(snapshotRefusal(snapshot(2, { sites: snapshot(1).sites.slice(2) }), snapshot(1))).toBeUndefined();
    expect(snapshotRefusal(snapshot(2, { sites: [] }), snapshot(1), true)).toBeUndefined();
  });
});

describe('the snapshot store', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'nearcast-snapshots-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  async function started(): Promise<SnapshotStore> {
    const store = new SnapshotStore(folder, silentLog());
    await store.start();
    return store;
  }
  const files = async () => (await readdir(folder)).filter((name) => name.startsWith('snapshot-0')).sort();
  async function published(...numbers: number[]): Promise<SnapshotStore> {
    const store = await started();
    for (const number of numbers) {
      expect(store.publish(snapshot(number))).toBeUndefined();
      await store.close();
    }
    return store;
  }

  it('starts from the newest one on disk and keeps three', async () => {
    await published(1, 2, 3, 4, 5);
    expect(await files()).toHaveLength(3);
    expect((await started()).index?.snapshot.number).toBe(5);
  });

  it('is empty at the very first start', async () => {
    expect((await started()).index).toBeUndefined();
  });

  it('publishes at once, before anything is on disk', async () => {
    const store = await started();
    store.publish(snapshot(9));
    expect(store.index?.snapshot.number).toBe(9);
    expect(store.publish(snapshot(8))).toBe('older');
    await store.close();
  });

  it.each([
    ['cut short', (text: string) => text.slice(0, text.length / 2)],
    ['empty', () => ''],
    ['changed by hand', (text: string) => text.replace('standby.example.org', 'evil.example.org')],
    [
      'without a signature',
      (text: string) => JSON.stringify({ payload: (JSON.parse(text) as { payload: string }).payload }),
    ],
  ])('passes over a file that is %s and starts from the one before', async (_, spoil) => {
    await published(1, 2);
    const newest = join(folder, (await files()).at(-1)!);
    const text = await readFile(newest, 'utf8');
    await writeFile(newest, spoil(text));
    expect((await started()).index?.snapshot.number).toBe(1);
  });

  it('goes on in memory when the disk refuses', async () => {
    const store = await published(1);
    await rm(folder, { recursive: true });
    expect(store.publish(snapshot(2))).toBeUndefined();
    await store.close();
    expect(store.index?.snapshot.number).toBe(2);
  });
});
