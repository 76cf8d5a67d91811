import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { silentLog } from '../runtime/log.ts';
import { cachePolicy } from './cache/policy.ts';
import { FillTarget } from './fill-target.ts';
import { SLICE_BYTES } from './store/contract.ts';
import { openStore } from './store/open-store.ts';

async function setUp() {
  const store = await openStore({
    memoryBytes: 16 << 20,
    diskBytes: 16 << 20,
    volumes: [],
    workerIndex: 0,
    workerCount: 1,
    log: silentLog(),
  });
  const policy = cachePolicy('safe', { canonicalHost: 'media.example.org' });
  return {
    store,
    target: new FillTarget({
      store,
      filled: () => ({ policy, host: 'media.example.org', scheme: 'http' }),
      owns: () => true,
    }),
  };
}

const head = (length: number, cacheControl = 'max-age=60') => ({
  status: 200,
  fields: ['cache-control', cacheControl, 'etag', '"v1"'],
  length,
  requestMillis: Date.now(),
  responseMillis: Date.now(),
});
const sha256 = (body: Buffer) => createHash('sha256').update(body).digest('hex');

describe('what the fill brings', () => {
  it('is servable under the key that clients ask for, whole and in slices, once its digest is right', async () => {
    const { store, target } = await setUp();
    const body = Buffer.alloc(SLICE_BYTES + 5, 'abc');
    const write = target.begin('/film/1.m4s', head(body.length), { sha256: sha256(body) })!;
    await write.write(body.subarray(0, 1000));
    expect(store.shelf('http://media.example.org/film/1.m4s')).toBeUndefined();
    await write.write(Buffer.from(body.subarray(1000)));
    expect(await write.commit()).toEqual({ kind: 'stored' });
    expect(await target.held('/film/1.m4s')).toEqual({ complete: true, sha256: sha256(body), etag: '"v1"' });
    const entry = store.shelf('http://media.example.org/film/1.m4s')!.variant('')!;
    const slices = [];
    for (const n of [0, 1]) {
      const read = await store.readSlice(entry, n);
      if (read.kind === 'bytes') slices.push(Buffer.from(read.bytes));
    }
    expect(Buffer.concat(slices).equals(body)).toBe(true);
    await store.close();
  });

  it.each(['flipped', 'short', 'long'])('is refused and leaves nothing when its body came %s', async (fault) => {
    const { store, target } = await setUp();
    const body = Buffer.alloc(5000, 'x');
    const came =
      fault === 'short'
        ? body.subarray(0, 4999)
        : fault === 'long'
          ? Buffer.concat([body, body])
          : Buffer.alloc(5000, 'y');
    const write = target.begin('/a', head(body.length), { sha256: sha256(body) })!;
    await write.write(Buffer.from(came));
    expect((await write.commit()).kind).toBe('refused');
    expect(await target.held('/a')).toBeUndefined();
    await store.close();
  });

  it('is refused with the reason when the origin does not let it be stored', async () => {
    const { store, target } = await setUp();
    const write = target.begin('/a', head(3, 'no-store'), { sha256: sha256(Buffer.from('abc')) })!;
    await write.write(Buffer.from('abc'));
    expect(await write.commit()).toEqual({ kind: 'refused', why: 'not storable: no-store' });
    await store.close();
  });

  it('an empty asset is held like any other', async () => {
    const { store, target } = await setUp();
    const write = target.begin('/0.bin', head(0), { sha256: sha256(Buffer.alloc(0)) })!;
    expect(await write.commit()).toEqual({ kind: 'stored' });
    expect((await target.held('/0.bin'))?.complete).toBe(true);
    await store.close();
  });

  it('a purged asset is not held, and is filled again', async () => {
    const { store, target } = await setUp();
    const write = target.begin('/0.bin', head(0), { sha256: sha256(Buffer.alloc(0)) })!;
    await write.commit();
    await store.applyPurges([{ scope: { kind: 'everything' }, soft: false }]);
    expect(await target.held('/0.bin')).toBeUndefined();
    await store.close();
  });
});
