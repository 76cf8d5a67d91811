import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { VirtualClock } from '../../runtime/clock.ts';
import { silentLog } from '../../runtime/log.ts';
import { SLICE_BYTES } from './contract.ts';
import { FaultyFiles } from './faulty-files.ts';
import { openStore, type StoreOptions } from './open-store.ts';
import type { SharedStore } from './shared-store.ts';
import { bodyOf, entryOf, put, response, sliceOf } from './store-contract.ts';
import { keyHash, VolumeIndex } from './volume-index.ts';

const MIB = 1 << 20;
const KEY = 'https://www.example.org/a';
const SIZES = [0, 100, 16_384, 100_000, SLICE_BYTES, 2 * SLICE_BYTES + 5];

let directory: string;
let volume: string;
const opened: SharedStore[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'nearcast-store-'));
  volume = join(directory, 'disk');
});
afterEach(async () => {
  for (const store of opened.splice(0)) await store.close();
  rmSync(directory, { recursive: true, force: true });
});

async function open(over: Partial<StoreOptions> = {}): Promise<SharedStore> {
  const store = await openStore({
    ...{ memoryBytes: 1, diskBytes: 512 * MIB, volumes: [volume], workerIndex: 0, workerCount: 1, log: silentLog() },
    ...{ sweepDelayMillis: 0, ...over },
  });
  opened.push(store);
  return store;
}

/** What the volume takes on its disk, as `du` says, the directories' own blocks and LMDB's lock file aside. */
function du(): number {
  const output = spawnSync('du', ['-a', '-B1', volume], { encoding: 'utf8' }).stdout;
  let bytes = 0;
  for (const line of output.trim().split('\n')) {
    const [size, path] = line.split('\t');
    if (statSync(path!).isFile() && !path!.endsWith('lock.mdb')) bytes += Number(size);
  }
  return bytes;
}

/** A file system adds a block of its own to a file in many fragments: 64 KiB are allowed for all of those. */
function expectAccounted(store: SharedStore): void {
  expect(Math.abs(store.stat().disk.bytes - du())).toBeLessThanOrEqual(64 * 1024);
}

/** A key has the body that was stored under it, or none. */
async function expectItsOwn(store: SharedStore, key: string, bodies: ReadonlyMap<string, Buffer>): Promise<void> {
  const entry = entryOf(store, key);
  const body = entry === undefined ? 'none' : await bodyOf(store, entry);
  expect(typeof body === 'string' || bodies.get(key)?.equals(body)).toBe(true);
}

function extentFiles(): string[] {
  return readdirSync(join(volume, 'extents')).map((name) => join(volume, 'extents', name));
}

function overwrite(path: string, at: number, bytes: Buffer): void {
  const file = openSync(path, 'r+');
  writeSync(file, bytes, 0, bytes.length, at);
  closeSync(file);
}

describe('a restart', () => {
  it('serves what was stored, from the first look-up', async () => {
    const bodies = SIZES.map((size) => randomBytes(size));
    const first = await open();
    const stored = [];
    for (const [i, body] of bodies.entries()) stored.push(await put(first, body, { key: `${KEY}${i}`, tags: ['t'] }));
    await first.close();
    const second = await open();
    for (const [i, body] of bodies.entries()) {
      const entry = entryOf(second, `${KEY}${i}`)!;
      expect(entry.response).toEqual(stored[i]);
      expect(entry.tier).toBe('disk');
      expect(entry.complete).toBe(true);
      expect(await bodyOf(second, entry)).toEqual(body);
    }
  });

  it('finds a partial response as it was left, and goes on with it', async () => {
    const body = randomBytes(3 * SLICE_BYTES);
    const first = await open();
    const stored = response({ bodyLength: body.length });
    const writer = first.begin(stored, { partial: true });
    await writer.slice(1, Buffer.from(sliceOf(body, 1)));
    await first.close();
    const second = await open();
    const entry = entryOf(second)!;
    expect([0, 1, 2].map((n) => second.hasSlice(entry, n))).toEqual([false, true, false]);
    const resumed = second.resume(entry);
    for (const n of [0, 2]) expect(await resumed.slice(n, Buffer.from(sliceOf(body, n)))).toEqual({ kind: 'stored' });
    await resumed.finish(stored);
    expect(await bodyOf(second, entryOf(second)!)).toEqual(body);
  });

  it('remembers purges, and the position in the control plane’s log (case 117)', async () => {
    const first = await open();
    const stored = await put(first, Buffer.from('abc'));
    await first.applyPurges([{ scope: { kind: 'url', key: KEY }, soft: false, logNumber: 41 }]);
    const number = first.purgeNumber;
    // Not closed: what a kill would leave.
    const second = await open();
    expect(second.purgeNumber).toBe(number);
    expect(second.purgeLogNumber).toBe(41);
    expect(second.purged(entryOf(second)!.response)).toBe('hard');
    expect(second.purged({ ...stored, purgeNumber: number })).toBe('no');
  });

  it('begins a new index when the old one is garbage, and sweeps the bodies (case 162)', async () => {
    const first = await open();
    await put(first, randomBytes(100_000));
    await put(first, randomBytes(2 * SLICE_BYTES), { key: `${KEY}2` });
    await first.close();
    writeFileSync(join(volume, 'index', 'data.mdb'), randomBytes(64 * 1024));
    rmSync(join(volume, 'index', 'lock.mdb'), { force: true });
    const second = await open();
    expect(second.shelf(KEY)).toBeUndefined();
    await second.swept();
    expect(extentFiles()).toEqual([]);
    await put(second, Buffer.from('again'));
    expect(await bodyOf(second, entryOf(second)!)).toEqual(Buffer.from('again'));
  });

  it('sweeps what a killed writer left and nothing else', async () => {
    const body = randomBytes(2 * SLICE_BYTES);
    const first = await open();
    await put(first, body);
    const unfinished = first.begin(response({ key: `${KEY}2`, bodyLength: 3 * SLICE_BYTES }));
    await unfinished.slice(0, randomBytes(SLICE_BYTES));
    await unfinished.slice(1, randomBytes(SLICE_BYTES));
    mkdirSync(join(volume, 'extents'), { recursive: true });
    writeFileSync(join(volume, 'extents', '1.w0.shared'), randomBytes(10_000));
    const second = await open();
    await second.swept();
    expect(extentFiles()).toHaveLength(1);
    expectAccounted(second);
    expect(await bodyOf(second, entryOf(second)!)).toEqual(body);
  });
});

describe('bytes that are not what they were', () => {
  it.each([100_000, 3 * SLICE_BYTES])('are found at the first read, dropped and counted (%i bytes)', async (size) => {
    const first = await open();
    await put(first, randomBytes(size));
    await first.close();
    const [file] = extentFiles();
    overwrite(file!, 50_000, Buffer.from('rot'));
    const second = await open();
    const entry = entryOf(second)!;
    expect(await second.readSlice(entry, 0)).toEqual({ kind: 'absent', why: 'corrupt' });
    expect(second.stat().corruptSlices).toBe(1);
    const after = entryOf(second);
    expect(after === undefined || !second.hasSlice(after, 0)).toBe(true);
    expect(after?.complete ?? false).toBe(false);
    if (size > SLICE_BYTES) expect((await second.readSlice(after!, 1)).kind).toBe('bytes');
  });

  it('are found by the scrub before anybody asks', async () => {
    const first = await open();
    await put(first, randomBytes(100_000));
    await put(first, randomBytes(2 * SLICE_BYTES), { key: `${KEY}2` });
    await put(first, randomBytes(1000), { key: `${KEY}3` });
    await first.close();
    for (const file of extentFiles()) overwrite(file, 60_000, Buffer.from('rot'));
    const second = await open();
    const outcome = await second.scrub(1e12);
    expect(outcome).toMatchObject({ responses: 3, corrupt: 2, purged: 0 });
    expect(second.shelf(KEY)).toBeUndefined();
    expect(second.hasSlice(entryOf(second, `${KEY}2`)!, 0)).toBe(false);
    expect(entryOf(second, `${KEY}3`)).toBeDefined();
  });

  it.each([100_000, 2 * SLICE_BYTES])('cut short by a power cut are a miss (%i bytes)', async (size) => {
    const first = await open();
    await put(first, randomBytes(size));
    await first.close();
    for (const file of extentFiles()) truncateSync(file, 4096);
    const second = await open();
    expect(await second.readSlice(entryOf(second)!, 0)).toEqual({ kind: 'absent', why: 'evicted' });
    const after = entryOf(second);
    expect(after === undefined || !second.hasSlice(after, 0)).toBe(true);
  });

  it('in a row of the index are a miss, and the row goes (case 162)', async () => {
    const first = await open();
    await put(first, Buffer.from('abc'));
    await first.close();
    const index = new VolumeIndex(volume);
    const row = index.row(keyHash(KEY))!;
    for (const garbage of [Buffer.alloc(0), randomBytes(10), randomBytes(300), row.subarray(0, row.length - 1)]) {
      await index.putRow(keyHash(KEY), garbage, 1);
      await index.flushed();
      const second = await open();
      expect(second.shelf(KEY)).toBeUndefined();
      await second.close();
    }
    await index.close();
  });

  it('of another key with the same hash are a miss', async () => {
    const store = await open();
    await put(store, Buffer.from('abc'), { key: 'https://www.example.org/other' });
    await store.close();
    const index = new VolumeIndex(volume);
    await index.putRow(keyHash(KEY), index.row(keyHash('https://www.example.org/other'))!, 1);
    await index.close();
    const second = await open();
    expect(second.shelf(KEY)).toBeUndefined();
  });
});

describe('a disk that fails', () => {
  it.each([100_000, 2 * SLICE_BYTES])(
    'full at any one write: the write goes through the second time, or is refused whole (%i bytes)',
    async (size) => {
      const files = new FaultyFiles();
      const store = await open({ files });
      for (let nth = 1; nth <= 4; nth++) {
        const key = `${KEY}${nth}`;
        const from = files.counts.write;
        files.fault = (operation, count) => (operation === 'write' && count === from + nth ? 'ENOSPC' : undefined);
        const body = randomBytes(size);
        const stored = response({ key, bodyLength: size });
        const writer = store.begin(stored);
        for (let n = 0; n * SLICE_BYTES < size; n++) await writer.slice(n, Buffer.from(sliceOf(body, n)));
        const outcome = await writer.finish(stored);
        const entry = entryOf(store, key);
        if (outcome.kind === 'stored') expect(await bodyOf(store, entry!)).toEqual(body);
        else {
          expect(outcome.why).toBe('no-space');
          expect(entry).toBeUndefined();
        }
      }
      files.fault = () => undefined;
      const body = randomBytes(size);
      await put(store, body, { key: `${KEY}after` });
      expect(await bodyOf(store, entryOf(store, `${KEY}after`)!)).toEqual(body);
      expect(store.stat().volumes[0]!.state).toBe('good');
      expectAccounted(store);
    },
  );

  it('full for good: writes are refused, the replaced response does not come back, and room that returns is used (case 165)', async () => {
    const files = new FaultyFiles();
    const store = await open({ files, memoryBytes: 64 * MIB });
    await put(store, randomBytes(100_000));
    files.fault = (operation) => (operation === 'write' ? 'ENOSPC' : undefined);
    const stored = response({ bodyLength: 50_000 });
    const writer = store.begin(stored);
    await writer.slice(0, randomBytes(50_000));
    expect(await writer.finish(stored)).toEqual({ kind: 'refused', why: 'no-space' });
    expect(entryOf(store)).toBeUndefined();
    expect(store.stat().refusedWrites).toBe(1);
    files.fault = () => undefined;
    const body = randomBytes(50_000);
    await put(store, body);
    expect(await bodyOf(store, entryOf(store)!)).toEqual(body);
  });

  it.each([100, 100_000])(
    'full at any one write of a batch: each body is there whole or refused, and all room is accounted for (%i bytes)',
    async (size) => {
      const files = new FaultyFiles();
      const store = await open({ files });
      const bodies = new Map<string, Buffer>();
      for (let nth = 1; nth <= 4; nth++) {
        const from = files.counts.write;
        files.fault = (operation, count) => (operation === 'write' && count === from + nth ? 'ENOSPC' : undefined);
        const puts = Array.from({ length: 90 }, (_, i) => {
          const [key, body] = [`${KEY}${nth}.${i}`, randomBytes(size)];
          return { key, body, ...store.put(response({ key, bodyLength: size }), Buffer.from(body)) };
        });
        // Some of them are no longer wanted when their rows are to be written.
        for (const { entry } of puts.slice(0, 20)) store.remove(entry);
        for (const { key, body, outcome } of puts) if ((await outcome).kind === 'stored') bodies.set(key, body);
        for (const { key } of puts.slice(0, 20)) bodies.delete(key);
        for (const { key } of puts) await expectItsOwn(store, key, bodies);
        for (const { key } of puts.slice(0, 20)) expect(entryOf(store, key)).toBeUndefined();
      }
      files.fault = () => undefined;
      await store.settled();
      expect(store.stat().volumes[0]!.state).toBe('good');
      expectAccounted(store);
      const { responses } = store.stat().disk;
      await store.close();
      const again = await open();
      // What made room has gone, as it should; of what is there each has its own bytes.
      expect(again.stat().disk.responses).toBe(responses);
      expect(responses).toBeGreaterThan(60);
      for (const key of bodies.keys()) await expectItsOwn(again, key, bodies);
    },
  );

  it('breaking under a batch refuses all of it, and nothing of it is there', async () => {
    const files = new FaultyFiles();
    const store = await open({ files, memoryBytes: 64 * MIB });
    files.fault = (operation) => (operation === 'write' ? 'EIO' : undefined);
    const puts = Array.from({ length: 90 }, (_, i) => {
      const key = `${KEY}${i}`;
      return { key, ...store.put(response({ key, bodyLength: 100_000 }), randomBytes(100_000)) };
    });
    for (const { outcome } of puts) expect((await outcome).kind).toBe('refused');
    for (const { key } of puts) expect(entryOf(store, key)).toBeUndefined();
    expect(store.stat().volumes[0]!.state).toBe('failed');
  });

  it('out of descriptors refuses the write and is not taken for broken', async () => {
    const files = new FaultyFiles();
    const store = await open({ files });
    files.fault = (operation) => (operation === 'open' ? 'EMFILE' : undefined);
    const stored = response({ bodyLength: 50_000 });
    const writer = store.begin(stored);
    await writer.slice(0, randomBytes(50_000));
    expect((await writer.finish(stored)).kind).toBe('refused');
    expect(store.stat().volumes[0]!.state).toBe('good');
  });

  it.each(['EIO', 'EROFS'])('with %s is set aside, its keys move to another, and a restart remembers', async (code) => {
    const files = new FaultyFiles();
    const volumes = [join(directory, 'one'), join(directory, 'two')];
    const failed: string[] = [];
    const store = await open({ files, volumes, onVolumeState: (path) => failed.push(path) });
    files.fault = (operation, count) => (operation === 'write' && count === 1 ? code : undefined);
    const stored = response({ bodyLength: 50_000 });
    const writer = store.begin(stored);
    await writer.slice(0, randomBytes(50_000));
    expect(await writer.finish(stored)).toEqual({ kind: 'refused', why: 'volume-failed' });
    expect(failed).toHaveLength(1);
    const body = randomBytes(50_000);
    await put(store, body);
    expect(await bodyOf(store, entryOf(store)!)).toEqual(body);
    await store.close();
    const second = await open({ volumes });
    const bad = second.stat().volumes.filter((one) => one.state === 'failed');
    expect(bad.map((one) => one.path)).toEqual(failed);
    expect(bad[0]!.why).toContain(code);
    expect(await bodyOf(second, entryOf(second)!)).toEqual(body);
  });

  it('as the last one leaves memory, which goes on', async () => {
    const files = new FaultyFiles();
    const store = await open({ files, memoryBytes: 64 * MIB });
    files.fault = (operation) => (operation === 'write' ? 'EIO' : undefined);
    const stored = response({ bodyLength: 50_000 });
    const writer = store.begin(stored);
    await writer.slice(0, randomBytes(50_000));
    await writer.finish(stored);
    const body = randomBytes(3 * SLICE_BYTES);
    await put(store, body);
    expect(await bodyOf(store, entryOf(store)!)).toEqual(body);
    expect(store.stat().volumes[0]!.state).toBe('failed');
  });

  it('on a read tells the reader and is set aside (case 166)', async () => {
    const files = new FaultyFiles();
    const store = await open({ files });
    await put(store, randomBytes(100_000));
    const entry = entryOf(store)!;
    files.fault = (operation) => (operation === 'read' ? 'EIO' : undefined);
    expect(await store.readSlice(entry, 0)).toEqual({ kind: 'absent', why: 'read-error' });
    expect(store.stat().volumes[0]!.state).toBe('failed');
    expect(store.shelf(KEY)).toBeUndefined();
  });

  it('that can’t be used at the start is the operator’s fault to mend, and says how', async () => {
    const file = join(directory, 'not-a-directory');
    writeFileSync(file, '');
    await expect(open({ volumes: [file] })).rejects.toMatchObject({ code: 'volume-unusable', source: 'operator' });
  });
});

describe('eviction', () => {
  it('keeps to the budget under a flood of new bodies, and accounts for what du finds (cases 154, 168)', async () => {
    const budget = 24 * MIB;
    const store = await open({ diskBytes: budget, extentBytes: MIB });
    const sizes = [500, 20_000, 200_000, SLICE_BYTES, 2 * SLICE_BYTES + 100];
    for (let i = 0; i < 300; i++) {
      const size = sizes[i % sizes.length]!;
      await put(store, Buffer.alloc(size, i), { key: `${KEY}${i}` });
      expect(store.stat().disk.bytes).toBeLessThanOrEqual(budget + 4 * MIB);
    }
    await store.settled();
    const { evictedBytes } = store.stat();
    expect(evictedBytes).toBeGreaterThan(100 * MIB);
    expectAccounted(store);
    const last = entryOf(store, `${KEY}299`)!;
    expect(await bodyOf(store, last)).toEqual(Buffer.alloc(sizes[4]!, 299));
  });

  it('accounts for what du finds after thousands of changes of every kind (case 168)', async () => {
    const store = await open({ diskBytes: 64 * MIB, extentBytes: 2 * MIB });
    const writes: Promise<unknown>[] = [];
    for (let i = 0; i < 3000; i++) {
      const key = `${KEY}${i % 40}`;
      const kind = i % 7;
      if (kind === 5) store.removeKey(key);
      else if (kind === 6) store.begin(response({ key, bodyLength: 9 })).abandon();
      else
        writes.push(
          put(store, Buffer.alloc([10, 20_000, 90_000, 10_000, 17_000][kind]!, i), { key }).catch(() => undefined),
        );
      if (writes.length === 50) await Promise.all(writes.splice(0));
    }
    await Promise.all(writes);
    await store.settled();
    expectAccounted(store);
    await store.close();
    const second = await open({ diskBytes: 64 * MIB, extentBytes: 2 * MIB });
    await second.swept();
    expectAccounted(second);
  });

  it('keeps what is asked for again and again', async () => {
    const store = await open({ diskBytes: 20 * MIB, extentBytes: MIB });
    const hot = randomBytes(100_000);
    await put(store, hot);
    for (let i = 0; i < 400; i++) {
      await put(store, Buffer.alloc(100_000, i), { key: `${KEY}${i}` });
      const entry = entryOf(store);
      expect(entry).toBeDefined();
    }
    expect(await bodyOf(store, entryOf(store)!)).toEqual(hot);
    expect(store.shelf(`${KEY}0`)).toBeUndefined();
  });

  it.each([300, 100_000, 2 * SLICE_BYTES])(
    'never takes what is pinned, also after a restart (%i bytes)',
    async (size) => {
      const pinned = randomBytes(size);
      const first = await open({ diskBytes: 16 * MIB, extentBytes: MIB });
      first.pin(KEY, true);
      await put(first, pinned);
      await first.settled();
      await first.close();
      const store = await open({ diskBytes: 16 * MIB, extentBytes: MIB, indexShare: 0.1 });
      await store.swept();
      for (let i = 0; i < 150; i++)
        await put(store, Buffer.alloc(i % 2 === 0 ? 300_000 : 15_000, i), { key: `${KEY}${i}` });
      expect(await bodyOf(store, entryOf(store)!)).toEqual(pinned);
      expect(store.stat().pinned).toBe(1);
    },
  );

  it('keeps the index within its part, small bodies going one by one', async () => {
    const store = await open({ diskBytes: 16 * MIB, indexShare: 0.25 });
    for (let i = 0; i < 3000; i += 50)
      await Promise.all(
        Array.from({ length: 50 }, (_, j) => put(store, Buffer.alloc(4000, i), { key: `${KEY}${i + j}` })),
      );
    await store.settled();
    expect(store.stat().disk.bytes).toBeLessThan(12 * MIB);
    expect(entryOf(store, `${KEY}2999`)).toBeDefined();
  });

  it('refuses a body that is larger than the disk could hold', async () => {
    const store = await open({ diskBytes: 8 * MIB });
    const writer = store.begin(response({ bodyLength: 20 * MIB }));
    const outcomes = [];
    for (let n = 0; n < 20; n++) outcomes.push((await writer.slice(n, Buffer.alloc(SLICE_BYTES))).kind);
    expect(outcomes).toContain('refused');
    expect(await writer.finish(response({ bodyLength: 20 * MIB }))).toEqual({ kind: 'refused', why: 'too-large' });
  });

  it('lets a reader in the middle of a large body have the rest when it is replaced (case 111)', async () => {
    const clock = new VirtualClock();
    const store = await open({ clock });
    clock.advance(1000);
    const body = randomBytes(3 * SLICE_BYTES);
    await put(store, body);
    const reading = entryOf(store)!;
    const first = await store.readSlice(reading, 0);
    expect(first.kind === 'bytes' && first.bytes.equals(sliceOf(body, 0))).toBe(true);
    await put(store, randomBytes(3 * SLICE_BYTES));
    await store.settled();
    for (const n of [1, 2]) {
      const read = await store.readSlice(reading, n);
      expect(read.kind === 'bytes' && read.bytes.equals(sliceOf(body, n))).toBe(true);
    }
    clock.advance(60_000);
    const late = await store.readSlice(reading, 1);
    expect(late).toEqual({ kind: 'absent', why: 'evicted' });
  });
});

describe('two workers on one disk', () => {
  it('see each other’s changes: at once when told, else in the next round', async () => {
    const clock = new VirtualClock();
    const changes: string[] = [];
    const both = { workerCount: 2, memoryBytes: 64 * MIB, clock };
    const owner = await open({ ...both, onChange: (keys) => changes.push(...keys) });
    const other = await open({ ...both, workerIndex: 1 });
    const read = async () => {
      const entry = entryOf(other);
      return entry === undefined ? undefined : (await bodyOf(other, entry)).toString();
    };
    await put(owner, Buffer.from('one'));
    // LMDB gives a snapshot up at the end of the turn in which it was read from.
    await new Promise((resolve) => setTimeout(resolve, 0));
    expect(await read()).toBe('one');
    expect(await read()).toBe('one');
    await put(owner, Buffer.from('two'));
    await new Promise(setImmediate);
    expect(new Set(changes)).toEqual(new Set([KEY]));
    other.changed(changes);
    expect(await read()).toBe('two');
    expect(await read()).toBe('two');
    await put(owner, Buffer.from('three'));
    clock.advance(250);
    expect(await read()).toBe('three');
    owner.removeKey(KEY);
    await owner.settled();
    clock.advance(250);
    expect(await read()).toBeUndefined();
  });

  it('count purges as one', async () => {
    const clock = new VirtualClock();
    const both = { workerCount: 2, memoryBytes: 64 * MIB, clock };
    const one = await open(both);
    const two = await open({ ...both, workerIndex: 1 });
    const stored = await put(one, Buffer.from('abc'));
    await one.applyPurges([{ scope: { kind: 'everything' }, soft: false, logNumber: 3 }]);
    two.purgesChanged();
    expect(two.purged(stored)).toBe('hard');
    expect(two.purgeNumber).toBe(one.purgeNumber);
    await two.applyPurges([{ scope: { kind: 'everything' }, soft: false, logNumber: 3 }]);
    expect(two.purgeNumber).toBe(one.purgeNumber);
    await two.applyPurges([{ scope: { kind: 'host', host: 'www.example.org' }, soft: true }]);
    expect(one.purgeNumber).toBe(two.purgeNumber - 1);
    clock.advance(250);
    expect(one.purgeNumber).toBe(two.purgeNumber);
  });

  it('see slices that the other has added', async () => {
    const clock = new VirtualClock();
    const both = { workerCount: 2, memoryBytes: 64 * MIB, clock };
    const owner = await open(both);
    const other = await open({ ...both, workerIndex: 1 });
    const body = randomBytes(2 * SLICE_BYTES);
    const writer = owner.begin(response({ bodyLength: body.length }), { partial: true });
    await writer.slice(0, Buffer.from(sliceOf(body, 0)));
    const entry = entryOf(other)!;
    expect([0, 1].map((n) => other.hasSlice(entry, n))).toEqual([true, false]);
    await writer.slice(1, Buffer.from(sliceOf(body, 1)));
    expect(await bodyOf(other, entry)).toEqual(body);
    expect(entry.complete).toBe(true);
  });
});
