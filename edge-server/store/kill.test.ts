import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, it } from 'vitest';
import { silentLog } from '../../runtime/log.ts';
import { SLICE_BYTES } from './contract.ts';
import { sliceFor } from './killed-writer.ts';
import { openStore } from './open-store.ts';
import { listStored, verifyStored } from './stored-list.ts';

/** Each moment costs a process start; more are asked for by hand (case 163 wants 20). */
const MOMENTS = Number(process.env.NEARCAST_KILL_MOMENTS ?? 3);

interface Known {
  id: string | undefined;
  /** A later write or removal was begun: the key may have moved on. */
  moved: boolean;
}

it(`a writer killed at any moment leaves whole responses only, and all that it said were stored (case 163)`, async () => {
  const directory = mkdtempSync(join(tmpdir(), 'nearcast-kill-'));
  const volume = join(directory, 'disk');
  const known = new Map<string, Known>();
  let compared = 0;
  try {
    for (let moment = 0; moment < MOMENTS; moment++) {
      await writeAndKill(volume, moment, known);
      const store = await openStore({
        ...{ memoryBytes: 1 << 20, diskBytes: 400 << 20, volumes: [volume], workerIndex: 0, workerCount: 1 },
        ...{ log: silentLog(), sweepDelayMillis: 0 },
      });
      for (const [key, { id, moved }] of known) {
        const entry = store.shelf(key)?.variant('');
        if (!moved) expect(entry?.response.id).toBe(id);
        if (entry === undefined) continue;
        const { response } = entry;
        let slices = 0;
        for (let n = 0; n * SLICE_BYTES < response.bodyLength; n++) {
          if (!store.hasSlice(entry, n)) continue;
          slices++;
          const read = await store.readSlice(entry, n);
          expect(read.kind).toBe('bytes');
          if (read.kind === 'bytes')
            expect(read.bytes.equals(sliceFor(response.id, response.bodyLength, n))).toBe(true);
        }
        if (!moved || entry.complete) expect(slices).toBe(Math.ceil(response.bodyLength / SLICE_BYTES));
        compared++;
        known.set(key, { id: response.id, moved: false });
      }
      for (const [key] of known) if (store.shelf(key) === undefined) known.delete(key);
      await store.swept();
      expect(store.stat().corruptSlices).toBe(0);
      await store.close();
      await expectNothingUnnamed(volume);
    }
    expect(compared).toBeGreaterThan(MOMENTS);
    let listed = 0;
    for await (const one of verifyStored([volume])) {
      expect(one.bad).toBe(0);
      listed++;
    }
    expect(listed).toBe(known.size);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}, 120_000);

/** Lets the child write until it has said so many lines, then kills it in the middle of whatever it does. */
async function writeAndKill(volume: string, moment: number, known: Map<string, Known>): Promise<void> {
  const child = fork(join(import.meta.dirname, 'killed-writer.ts'), [volume, `run${moment}`], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  });
  child.send('go');
  const until = 5 + ((moment * 37) % 60);
  let lines = 0;
  const reader = createInterface({ input: child.stdout! });
  reader.on('line', (line) => {
    const [what, key, id] = line.split(' ');
    const before = known.get(key!);
    if (what === 'stored') known.set(key!, { id, moved: false });
    else known.set(key!, { id: before?.id, moved: true });
    if (++lines === until) setImmediate(() => child.kill('SIGKILL'));
  });
  await Promise.all([once(child, 'exit'), once(reader, 'close')]);
  expect(lines).toBeGreaterThanOrEqual(until);
}

/** Every large extent belongs to a response that the list shows. */
async function expectNothingUnnamed(volume: string): Promise<void> {
  let large = 0;
  for await (const one of listStored([volume])) if (one.place === 'sliced') large++;
  expect(readdirSync(join(volume, 'extents')).filter((name) => name.endsWith('.large'))).toHaveLength(large);
}
