/** What `put` must do in every store, as `store-contract.ts` says the rest: the same promises, for a body that is here at once. */
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { StoredResponse } from '../cache/stored-response.ts';
import { SLICE_BYTES, type Store } from './contract.ts';
import { bodyOf, entryOf, type OpenedStore, response } from './store-contract.ts';

export function describePut(name: string, open: () => Promise<OpenedStore>): void {
  describe(`${name}: a put`, () => {
    let opened: OpenedStore;
    let store: Store;
    beforeEach(async () => {
      opened = await open();
      store = opened.store;
    });
    afterEach(() => opened.close());
    const KEY = 'https://www.example.org/a';
    const begun = (body: Buffer, over: Partial<StoredResponse> = {}) => {
      const stored = response({ bodyLength: body.length, purgeNumber: store.purgeNumber, ...over });
      return { stored, ...store.put(stored, Buffer.from(body)) };
    };

    it.each([0, 1, 16_384, 16_385, 256 << 10, SLICE_BYTES])(
      'of %i bytes is there at once, and afterwards',
      async (size) => {
        const body = randomBytes(size);
        const { stored, entry, outcome } = begun(body, { tags: ['film'] });
        expect(entryOf(store)?.response).toEqual(stored);
        expect(same(await bodyOf(store, entry), body)).toBe(true);
        expect(await outcome).toEqual({ kind: 'stored' });
        expect(entryOf(store)!.response).toEqual(stored);
        expect(entryOf(store)!.complete).toBe(true);
        expect(same(await bodyOf(store, entryOf(store)!), body)).toBe(true);
      },
    );

    it('goes with hundreds of others, each with its own body', async () => {
      const bodies = Array.from({ length: 200 }, (_, i) => randomBytes([10, 20_000, 100_000][i % 3]!));
      const all = bodies.map((body, i) => begun(body, { key: `${KEY}${i}` }).outcome);
      for (const outcome of await Promise.all(all)) expect(outcome).toEqual({ kind: 'stored' });
      for (const [i, body] of bodies.entries())
        expect(same(await bodyOf(store, entryOf(store, `${KEY}${i}`)!), body)).toBe(true);
    });

    it.each([10, 100_000])('of %i bytes that is replaced under way gives way to the younger', async (size) => {
      const [old, young] = [randomBytes(size), randomBytes(size)];
      const first = begun(old);
      const second = begun(young);
      expect(same(await bodyOf(store, entryOf(store)!), young)).toBe(true);
      await first.outcome;
      expect(await second.outcome).toEqual({ kind: 'stored' });
      expect(same(await bodyOf(store, entryOf(store)!), young)).toBe(true);
      expect(same(await bodyOf(store, first.entry), old)).toBe(true);
      const third = begun(old);
      expect(await third.outcome).toEqual({ kind: 'stored' });
      expect(same(await bodyOf(store, entryOf(store)!), old)).toBe(true);
    });

    it.each([10, 100_000])(
      'of %i bytes that varies replaces one that does not, and the other way round',
      async (size) => {
        const vary = ['accept-encoding'];
        const [plain, varied] = [randomBytes(size), randomBytes(size)];
        const first = begun(plain);
        const second = begun(varied, { vary, variant: 'br' });
        await Promise.all([first.outcome, second.outcome]);
        expect(store.shelf(KEY)!.vary).toEqual(vary);
        expect(same(await bodyOf(store, entryOf(store, KEY, 'br')!), varied)).toBe(true);
        expect(await begun(plain).outcome).toEqual({ kind: 'stored' });
        expect(entryOf(store, KEY, 'br')).toBeUndefined();
        expect(same(await bodyOf(store, entryOf(store)!), plain)).toBe(true);
      },
    );

    it.each(['remove', 'removeKey'] as const)('that is taken away under way by %s does not come back', async (how) => {
      for (const size of [10, 100_000]) {
        const { entry, outcome } = begun(randomBytes(size));
        if (how === 'remove') store.remove(entry);
        else store.removeKey(KEY);
        expect(entryOf(store)).toBeUndefined();
        await outcome;
        expect(entryOf(store)).toBeUndefined();
        const again = randomBytes(size);
        expect(await begun(again).outcome).toEqual({ kind: 'stored' });
        expect(same(await bodyOf(store, entryOf(store)!), again)).toBe(true);
        store.removeKey(KEY);
      }
    });

    it('is covered by a purge that comes under way', async () => {
      const { stored, outcome } = begun(Buffer.from('abc'));
      await store.applyPurges([{ scope: { kind: 'url', key: KEY }, soft: false }]);
      await outcome;
      expect(store.purged(stored)).toBe('hard');
    });

    it.each([10, 100_000])('of %i bytes is freshened under way and keeps its body', async (size) => {
      const body = randomBytes(size);
      const { stored, entry, outcome } = begun(body);
      const fresh = store.freshen(entry, { ...stored, responseMillis: 1_800_000_000_000 });
      await outcome;
      expect(same(await bodyOf(store, fresh), body)).toBe(true);
      expect(entryOf(store)!.response.responseMillis).toBe(1_800_000_000_000);
      expect(same(await bodyOf(store, entryOf(store)!), body)).toBe(true);
    });

    it('of another length than its response says is refused', async () => {
      const { outcome } = store.put(response({ bodyLength: 4 }), Buffer.from('abc'));
      expect((await outcome).kind).toBe('refused');
      expect(entryOf(store)).toBeUndefined();
    });

    it('under way when the store closes is written or refused, and later ones are refused', async () => {
      const outcomes = Array.from({ length: 100 }, (_, i) => begun(randomBytes(20_000), { key: `${KEY}${i}` }).outcome);
      await store.close();
      for (const outcome of await Promise.all(outcomes)) expect(outcome).toEqual({ kind: 'stored' });
      expect(await begun(Buffer.from('abc')).outcome).toEqual({ kind: 'refused', why: 'closed' });
    });
  });
}

/** As `toEqual`, which walks a buffer byte by byte, and a megabyte for a second. */
function same(one: Buffer | string, other: Buffer): boolean {
  return typeof one !== 'string' && one.equals(other);
}
