/**
 * The child of `kill.test.ts`: stores, replaces, completes and removes responses until it is killed, and writes a
 * line for each that is stored. A body follows from its response's id, so that the test can compare every byte.
 */
import { hash } from 'node:crypto';
import { silentLog } from '../../runtime/log.ts';
import type { StoredResponse } from '../cache/stored-response.ts';
import { SLICE_BYTES, type Store } from './contract.ts';
import { openStore } from './open-store.ts';
import type { SharedStore } from './shared-store.ts';

const SIZES = [0, 700, 16_384, 30_000, 250_000, SLICE_BYTES, SLICE_BYTES + 1, 2 * SLICE_BYTES + 4096];
const KEYS = 24;

/** Slice `n` of the body of a response; no two slices are alike. */
export function sliceFor(id: string, bodyLength: number, n: number): Buffer {
  const length = Math.min(SLICE_BYTES, bodyLength - n * SLICE_BYTES);
  return Buffer.alloc(length, hash('sha512', `${id}:${n}`, 'buffer').subarray(0, 61));
}

async function storeForEver(store: SharedStore, run: string): Promise<void> {
  for (let i = 0; ; i++) {
    const key = `https://www.example.org/${(i * 7) % KEYS}`;
    const bodyLength = SIZES[i % SIZES.length]!;
    const stored = responseFor(`${run}-${i}`, key, bodyLength, store.purgeNumber);
    if (i % 11 === 10) {
      // Told before it is done: from here on the key may be there or not.
      process.stdout.write(`removed ${key}\n`);
      store.removeKey(key);
      continue;
    }
    process.stdout.write(`begun ${key}\n`);
    if (bodyLength <= SLICE_BYTES && i % 5 !== 0) {
      putBeside(store, stored);
      // Some batches gather, some are one response alone.
      if (i % 4 === 0) await store.settled();
      continue;
    }
    const writer = store.begin(stored, { partial: i % 3 === 0 });
    for (let n = 0; n * SLICE_BYTES < bodyLength; n++) await writer.slice(n, sliceFor(stored.id, bodyLength, n));
    const outcome = await writer.finish(stored);
    if (outcome.kind === 'stored') process.stdout.write(`stored ${key} ${stored.id}\n`);
  }
}

/** With its whole body, and without waiting: it goes into a batch with what comes next. */
function putBeside(store: Store, stored: StoredResponse): void {
  const { outcome } = store.put(stored, sliceFor(stored.id, stored.bodyLength, 0));
  void Promise.resolve(outcome).then(({ kind }) => {
    if (kind === 'stored') process.stdout.write(`stored ${stored.key} ${stored.id}\n`);
  });
}

function responseFor(id: string, key: string, bodyLength: number, purgeNumber: number): StoredResponse {
  return {
    ...{ id, key, vary: [], variant: '', status: 200, fields: ['x-id', id], bodyLength, purgeNumber, tags: [] },
    ...{ etag: `"${id}"`, lastModifiedMillis: undefined, sha256: undefined },
    ...{ requestMillis: 0, responseMillis: 0, initialAgeMillis: 0 },
    freshness: {
      ...{ lifetimeMillis: 60_000, staleWhileRevalidateMillis: 0, staleIfErrorMillis: 0 },
      ...{ staleForbidden: false, alwaysValidate: false, immutable: false, from: 'max-age' },
    },
  };
}

if (process.argv[1] === import.meta.filename) {
  const [, , volume, run] = process.argv;
  const store = await openStore({
    ...{ memoryBytes: 32 << 20, diskBytes: 400 << 20, volumes: [volume!], workerIndex: 0, workerCount: 1 },
    ...{ log: silentLog(), sweepDelayMillis: 0 },
  });
  const { promise, resolve } = Promise.withResolvers<void>();
  process.once('message', () => resolve());
  if (process.connected) await promise;
  await storeForEver(store, run!);
}
