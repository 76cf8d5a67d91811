/**
 * What every store must do, as one suite: the tests of each implementation call `describeStore`.
 * Nothing here knows of memory, indexes or files.
 */
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { StoredResponse } from '../cache/stored-response.ts';
import { SLICE_BYTES, type Store, type StoredEntry } from './contract.ts';

export interface OpenedStore {
  store: Store;
  close(): Promise<void>;
}

let ids = 0;

/** A response with every field set; `over` changes some. */
export function response(over: Partial<StoredResponse> = {}): StoredResponse {
  return {
    id: `id-${++ids}`,
    key: 'https://www.example.org/a',
    vary: [],
    variant: '',
    status: 200,
    fields: ['content-type', 'text/plain', 'etag', '"v1"'],
    bodyLength: 0,
    etag: '"v1"',
    lastModifiedMillis: 1_700_000_000_000,
    requestMillis: 1_700_000_100_000,
    responseMillis: 1_700_000_100_050,
    initialAgeMillis: 50,
    freshness: {
      lifetimeMillis: 60_000,
      staleWhileRevalidateMillis: 0,
      staleIfErrorMillis: 0,
      staleForbidden: false,
      alwaysValidate: false,
      immutable: false,
      from: 'max-age',
    },
    purgeNumber: 0,
    tags: [],
    sha256: undefined,
    ...over,
  };
}

/** Stores a whole body as a fetch would, slice by slice. */
export async function put(store: Store, body: Buffer, over: Partial<StoredResponse> = {}): Promise<StoredResponse> {
  const stored = response({ bodyLength: body.length, purgeNumber: store.purgeNumber, ...over });
  const writer = store.begin(stored);
  for (let n = 0; n * SLICE_BYTES < body.length; n++)
    expect(await writer.slice(n, Buffer.from(sliceOf(body, n)))).toEqual({ kind: 'stored' });
  expect(await writer.finish(stored)).toEqual({ kind: 'stored' });
  return stored;
}

export function sliceOf(body: Buffer, n: number): Buffer {
  return body.subarray(n * SLICE_BYTES, Math.min(body.length, (n + 1) * SLICE_BYTES));
}

/** The whole body as a reader gets it, or the word for the first slice that is not there. */
export async function bodyOf(store: Store, entry: StoredEntry): Promise<Buffer | string> {
  if (entry.body !== undefined) return Buffer.from(entry.body);
  const pieces: Buffer[] = [];
  for (let n = 0; n * SLICE_BYTES < entry.response.bodyLength; n++) {
    const read = await store.readSlice(entry, n);
    if (read.kind === 'absent') return read.why;
    pieces.push(Buffer.from(read.bytes));
    read.release();
  }
  return Buffer.concat(pieces);
}

export function entryOf(store: Store, key = 'https://www.example.org/a', variant = ''): StoredEntry | undefined {
  return store.shelf(key)?.variant(variant);
}

/** Sizes around every border: nothing, inline, one piece, one slice, slices, more than one extent's worth is left to benches. */
const SIZES = [0, 1, 4096, 16_384, 16_385, 65_536, SLICE_BYTES - 1, SLICE_BYTES, SLICE_BYTES + 1, 3 * SLICE_BYTES + 77];

/** `remembers`: the store's memory tier is large enough for what the tests put in. */
export function describeStore(name: string, open: () => Promise<OpenedStore>, remembers = true): void {
  describe(`${name}: the contract`, () => {
    let opened: OpenedStore;
    let store: Store;
    beforeEach(async () => {
      opened = await open();
      store = opened.store;
    });
    afterEach(() => opened.close());

    it.each(SIZES)('gives a body of %i bytes back as it came, with its response', async (size) => {
      const body = randomBytes(size);
      const stored = await put(store, body, { tags: ['film', 'ü'], vary: [] });
      const entry = entryOf(store)!;
      expect(entry.response).toEqual(stored);
      expect(entry.complete).toBe(true);
      expect(await bodyOf(store, entry)).toEqual(body);
    });

    it('knows nothing of a key that was never stored', () => {
      expect(store.shelf('https://www.example.org/none')).toBeUndefined();
    });

    it('shows nothing before finish', async () => {
      const stored = response({ bodyLength: 3 });
      const writer = store.begin(stored);
      await writer.slice(0, Buffer.from('abc'));
      expect(entryOf(store)).toBeUndefined();
      await writer.finish(stored);
      expect(await bodyOf(store, entryOf(store)!)).toEqual(Buffer.from('abc'));
    });

    it.each([3, 2 * SLICE_BYTES])('leaves nothing of an abandoned write of %i bytes', async (size) => {
      const stored = response({ bodyLength: size });
      const writer = store.begin(stored);
      await writer.slice(0, randomBytes(Math.min(size, SLICE_BYTES)));
      writer.abandon();
      writer.abandon();
      expect(entryOf(store)).toBeUndefined();
      expect(await writer.finish(stored)).toEqual({ kind: 'refused', why: 'abandoned' });
      expect(entryOf(store)).toBeUndefined();
    });

    it('refuses to finish a body that is shorter than its response says', async () => {
      const stored = response({ bodyLength: 4 });
      const writer = store.begin(stored);
      await writer.slice(0, Buffer.from('abc'));
      expect((await writer.finish(stored)).kind).toBe('refused');
      expect(entryOf(store)).toBeUndefined();
    });

    it('refuses to finish a large body with a slice missing', async () => {
      const stored = response({ bodyLength: 3 * SLICE_BYTES });
      const writer = store.begin(stored);
      await writer.slice(0, randomBytes(SLICE_BYTES));
      await writer.slice(2, randomBytes(SLICE_BYTES));
      expect((await writer.finish(stored)).kind).toBe('refused');
      expect(entryOf(store)).toBeUndefined();
    });

    it('learns the length of a body only at finish', async () => {
      const body = randomBytes(2 * SLICE_BYTES + 5);
      const writer = store.begin(response({ id: 'late', bodyLength: 0 }));
      for (const n of [1, 0, 2]) await writer.slice(n, Buffer.from(sliceOf(body, n)));
      await writer.finish(response({ id: 'late', bodyLength: body.length }));
      expect(await bodyOf(store, entryOf(store)!)).toEqual(body);
    });

    it.each([10, 100_000, 2 * SLICE_BYTES])(
      'replaces a response of %i bytes, whose reader keeps what it holds',
      async (size) => {
        const old = randomBytes(size);
        const young = randomBytes(size);
        await put(store, old);
        const before = entryOf(store)!;
        await put(store, young);
        const late = await bodyOf(store, before);
        expect(typeof late === 'string' ? old : late).toEqual(old);
        const after = entryOf(store)!;
        expect(after.response.id).not.toBe(before.response.id);
        expect(await bodyOf(store, after)).toEqual(young);
      },
    );

    it('keeps variants apart and names the Vary of the newest', async () => {
      const vary = ['accept-encoding'];
      await put(store, Buffer.from('plain'), { vary, variant: 'identity' });
      await put(store, Buffer.from('squeezed'), { vary, variant: 'br' });
      const shelf = store.shelf('https://www.example.org/a')!;
      expect(shelf.vary).toEqual(vary);
      expect(await bodyOf(store, shelf.variant('identity')!)).toEqual(Buffer.from('plain'));
      expect(await bodyOf(store, shelf.variant('br')!)).toEqual(Buffer.from('squeezed'));
      expect(shelf.variant('gzip')).toBeUndefined();
    });

    it('drops variants of another Vary when the newest response varies otherwise', async () => {
      await put(store, Buffer.from('plain'), { vary: ['accept-encoding'], variant: 'x' });
      await put(store, Buffer.from('english'), { vary: ['accept-language'], variant: 'x' });
      expect(store.shelf('https://www.example.org/a')!.vary).toEqual(['accept-language']);
      expect(await bodyOf(store, entryOf(store, undefined, 'x')!)).toEqual(Buffer.from('english'));
      await put(store, Buffer.from('same for all'));
      expect(store.shelf('https://www.example.org/a')!.vary).toEqual([]);
      expect(entryOf(store, undefined, 'x')).toBeUndefined();
      expect(await bodyOf(store, entryOf(store)!)).toEqual(Buffer.from('same for all'));
    });

    it('removes one variant and leaves the other', async () => {
      const vary = ['accept-encoding'];
      await put(store, Buffer.from('plain'), { vary, variant: 'identity' });
      await put(store, Buffer.from('squeezed'), { vary, variant: 'br' });
      store.remove(entryOf(store, undefined, 'br')!);
      expect(entryOf(store, undefined, 'br')).toBeUndefined();
      expect(await bodyOf(store, entryOf(store, undefined, 'identity')!)).toEqual(Buffer.from('plain'));
    });

    it('removes every variant under a key at once (case 40)', async () => {
      const vary = ['accept-encoding'];
      for (const variant of ['identity', 'br', 'gzip']) await put(store, Buffer.from(variant), { vary, variant });
      store.removeKey('https://www.example.org/a');
      for (const variant of ['identity', 'br', 'gzip']) expect(entryOf(store, undefined, variant)).toBeUndefined();
    });

    it('does not remove a younger response for an older entry', async () => {
      await put(store, Buffer.from('old'));
      const old = entryOf(store)!;
      await put(store, Buffer.from('young'));
      store.remove(old);
      expect(await bodyOf(store, entryOf(store)!)).toEqual(Buffer.from('young'));
    });

    it.each([10, 100_000, 2 * SLICE_BYTES])('freshens a response of %i bytes and keeps its body', async (size) => {
      const body = randomBytes(size);
      const stored = await put(store, body);
      const fresh = store.freshen(entryOf(store)!, { ...stored, responseMillis: 1_800_000_000_000 });
      expect(fresh.response.responseMillis).toBe(1_800_000_000_000);
      expect(entryOf(store)!.response.responseMillis).toBe(1_800_000_000_000);
      expect(await bodyOf(store, entryOf(store)!)).toEqual(body);
      expect(await bodyOf(store, fresh)).toEqual(body);
    });

    it('does not bring a replaced response back by freshening it (case 169)', async () => {
      const stored = await put(store, Buffer.from('old'));
      const old = entryOf(store)!;
      await put(store, Buffer.from('young'));
      store.freshen(old, { ...stored, responseMillis: 1_800_000_000_000 });
      expect(await bodyOf(store, entryOf(store)!)).toEqual(Buffer.from('young'));
    });

    it('shows a partial response slice by slice and completes it later', async () => {
      const body = randomBytes(3 * SLICE_BYTES + 9);
      const stored = response({ bodyLength: body.length });
      const writer = store.begin(stored, { partial: true });
      expect(entryOf(store)).toBeUndefined();
      await writer.slice(2, Buffer.from(sliceOf(body, 2)));
      const part = entryOf(store)!;
      expect([0, 1, 2, 3].map((n) => store.hasSlice(part, n))).toEqual([false, false, true, false]);
      expect(part.complete).toBe(false);
      expect(await store.readSlice(part, 0)).toEqual({ kind: 'absent', why: 'never-stored' });
      expect(await writer.finish(stored)).toEqual({ kind: 'stored' });
      const rest = store.resume(entryOf(store)!);
      for (const n of [3, 0, 1]) expect(await rest.slice(n, Buffer.from(sliceOf(body, n)))).toEqual({ kind: 'stored' });
      expect(await rest.finish(stored)).toEqual({ kind: 'stored' });
      expect(entryOf(store)!.complete).toBe(true);
      expect(await bodyOf(store, entryOf(store)!)).toEqual(body);
    });

    it('keeps the slices of a partial response whose writer gives up', async () => {
      const body = randomBytes(2 * SLICE_BYTES);
      const writer = store.begin(response({ bodyLength: body.length }), { partial: true });
      await writer.slice(1, Buffer.from(sliceOf(body, 1)));
      writer.abandon();
      const part = entryOf(store)!;
      expect(store.hasSlice(part, 1)).toBe(true);
      expect(part.complete).toBe(false);
    });

    it('never mixes slices of two versions (case 72)', async () => {
      const old = response({ bodyLength: 2 * SLICE_BYTES });
      const first = store.begin(old, { partial: true });
      await first.slice(0, Buffer.alloc(SLICE_BYTES, 1));
      await first.finish(old);
      const before = entryOf(store)!;
      const young = response({ bodyLength: 2 * SLICE_BYTES, etag: '"v2"' });
      const second = store.begin(young, { partial: true });
      await second.slice(1, Buffer.alloc(SLICE_BYTES, 2));
      await second.finish(young);
      const after = entryOf(store)!;
      expect(after.response.id).toBe(young.id);
      expect(store.hasSlice(after, 0)).toBe(false);
      const resumed = store.resume(before);
      const outcome = await resumed.slice(1, Buffer.alloc(SLICE_BYTES, 1));
      expect(outcome.kind).toBe('refused');
      const read = await store.readSlice(entryOf(store)!, 1);
      expect(read.kind === 'bytes' && read.bytes.every((byte) => byte === 2)).toBe(true);
    });

    it('drops every slice with the key (case 118)', async () => {
      const body = randomBytes(3 * SLICE_BYTES);
      const writer = store.begin(response({ bodyLength: body.length }), { partial: true });
      await writer.slice(0, Buffer.from(sliceOf(body, 0)));
      await writer.slice(2, Buffer.from(sliceOf(body, 2)));
      writer.abandon();
      store.removeKey('https://www.example.org/a');
      expect(entryOf(store)).toBeUndefined();
    });

    if (remembers)
      it('keeps what the handler has prepared for as long as the shelf is in memory', async () => {
        await put(store, Buffer.from('abc'));
        const prepared = {};
        entryOf(store)!.prepared = prepared;
        expect(entryOf(store)!.prepared).toBe(prepared);
        expect(store.shelf('https://www.example.org/a')).toBe(store.shelf('https://www.example.org/a'));
      });

    it.each([
      ['everything', { kind: 'everything' }, true],
      ['the host', { kind: 'host', host: 'www.example.org' }, true],
      ['the host in capitals with its default port (case 115)', { kind: 'host', host: 'WWW.Example.org:080' }, true],
      ['another host', { kind: 'host', host: 'example.org' }, false],
      ['a prefix', { kind: 'prefix', host: 'www.example.org', prefix: '/mov' }, true],
      ['the root', { kind: 'prefix', host: 'www.example.org', prefix: '/' }, true],
      ['another prefix', { kind: 'prefix', host: 'www.example.org', prefix: '/movies/b' }, false],
      ['a tag', { kind: 'tag', tag: 'film' }, true],
      ['another tag', { kind: 'tag', tag: 'fil' }, false],
      ['the URL', { kind: 'url', key: 'https://www.example.org/movies/a?x=1' }, true],
      ['another URL', { kind: 'url', key: 'https://www.example.org/movies/a' }, false],
    ] as const)('purges by scope: %s', async (_name, scope, covered) => {
      const stored = await put(store, Buffer.from('abc'), {
        key: 'https://www.example.org/movies/a?x=1',
        tags: ['film'],
      });
      expect(store.purged(stored)).toBe('no');
      const soft = store.applyPurges([{ scope, soft: true }]);
      expect(store.purged(stored)).toBe(covered ? 'soft' : 'no');
      await soft;
      await store.applyPurges([{ scope, soft: false }]);
      expect(store.purged(stored)).toBe(covered ? 'hard' : 'no');
      expect(store.purged({ ...stored, purgeNumber: store.purgeNumber })).toBe('no');
    });

    it('covers a fetch that began before the purge, whenever it ends (case 114)', async () => {
      const began = store.purgeNumber;
      await store.applyPurges([{ scope: { kind: 'everything' }, soft: false }]);
      const stored = await put(store, Buffer.from('abc'), { purgeNumber: began });
      expect(store.purged(stored)).toBe('hard');
    });

    it('applies each position of the control plane’s log once', async () => {
      await store.applyPurges([{ scope: { kind: 'everything' }, soft: false, logNumber: 7 }]);
      expect(store.purgeLogNumber).toBe(7);
      const number = store.purgeNumber;
      await store.applyPurges([
        { scope: { kind: 'everything' }, soft: false, logNumber: 7 },
        { scope: { kind: 'everything' }, soft: false, logNumber: 6 },
      ]);
      expect(store.purgeNumber).toBe(number);
    });

    it('refuses writes once it is closed, and closes twice', async () => {
      const writer = store.begin(response({ bodyLength: 1 }));
      await store.close();
      await store.close();
      const outcome = await writer.slice(0, Buffer.from('a'));
      expect(outcome.kind).toBe('refused');
    });
  });
}
