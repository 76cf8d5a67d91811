/**
 * Reads everything that is stored, slowly, and compares it with its checksums: what rotted is dropped before a
 * client asks for it. On the way it takes away what a hard purge has covered, and learns how old the oldest
 * response is, so that the purge log can forget.
 */
import { crc32 } from 'node:zlib';
import type { Clock } from '../../runtime/clock.ts';
import { sharedName } from './extents.ts';
import type { PurgeLog } from './purge-log.ts';
import type { ResponseRow } from './row.ts';
import type { Volume } from './volume.ts';

export interface ScrubOutcome {
  responses: number;
  bytes: number;
  corrupt: number;
  /** Covered by a hard purge, taken away. */
  purged: number;
  /** The least purge number of what is stored; infinite when nothing is. */
  oldestPurgeNumber: number;
}

export interface ScrubOptions {
  volumes: readonly Volume[];
  purgeLog: PurgeLog;
  clock: Clock;
  bytesPerSecond: number;
  signal: AbortSignal;
  /** Takes a response away whose purge is certain. */
  remove: (row: ResponseRow) => void;
}

const STEP_ROWS = 64;

/** One pass over all rows. Each worker scrubs what it owns. Ends early when the signal says so. */
export async function scrub(options: ScrubOptions): Promise<ScrubOutcome> {
  const outcome: ScrubOutcome = {
    ...{ responses: 0, bytes: 0, corrupt: 0, purged: 0 },
    oldestPurgeNumber: Number.POSITIVE_INFINITY,
  };
  const pace = pacer(options);
  for (const volume of options.volumes) {
    let hand: Buffer = Buffer.alloc(1);
    for (;;) {
      const rows = volume.look(() => volume.index.rowsFrom(hand, STEP_ROWS)) ?? [];
      for (const { key, row } of rows) {
        if (options.signal.aborted) return outcome;
        const found = volume.find(key);
        if (found === undefined) outcome.corrupt++;
        else if (found.row.kind === 'response' && volume.owns(key, found.row.place))
          await check(volume, { key, row: found.row, version: found.version });
        await pace(row.length);
      }
      const last = rows.at(-1);
      if (last === undefined || rows.length < STEP_ROWS) break;
      hand = Buffer.concat([last.key, Buffer.alloc(1)]);
    }
  }
  return outcome;

  async function check(volume: Volume, at: { key: Buffer; row: ResponseRow; version: number }): Promise<void> {
    const { response, place } = at.row;
    outcome.responses++;
    if (options.purgeLog.verdict(response) === 'hard') {
      outcome.purged++;
      options.remove(at.row);
      return;
    }
    outcome.oldestPurgeNumber = Math.min(outcome.oldestPurgeNumber, response.purgeNumber);
    if (place.kind === 'sliced') {
      const { bytes, bad } = await volume.body(place.body, place.worker, at.key).verify(response.bodyLength, pace);
      outcome.bytes += bytes;
      outcome.corrupt += bad;
    } else if (place.kind === 'extent') {
      if (!(await wholeIsRight(volume, at.row))) {
        outcome.corrupt++;
        volume.counts.corruptSlices++;
        await volume.changing(() => volume.index.removeRowOf(at.key, at.version));
      }
      outcome.bytes += response.bodyLength;
      await pace(response.bodyLength);
    } else outcome.bytes += response.bodyLength;
  }
}

/** Whether a body in a shared extent is what it was; also when the disk does not answer: that is another fault. */
async function wholeIsRight(volume: Volume, { response, place }: ResponseRow): Promise<boolean> {
  if (place.kind !== 'extent') return true;
  const buffer = volume.pool.take();
  try {
    const bytes = buffer.subarray(0, response.bodyLength);
    const name = sharedName(place.extent, place.worker);
    const read = await volume.reading(() => volume.extents.read(name, bytes, place.offset, 'upkeep'));
    return read === 'error' || (read === 'read' && crc32(bytes) === place.crc);
  } finally {
    volume.pool.give(buffer);
  }
}

/** Waits as long as the bytes are worth, in steps of at least 20 ms so that small rows cost no timer each. */
function pacer({ clock, bytesPerSecond, signal }: ScrubOptions): (bytes: number) => Promise<void> {
  let owedMillis = 0;
  const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  return async (bytes) => {
    owedMillis += (bytes / bytesPerSecond) * 1000;
    if (owedMillis < 20 || signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = clock.after(owedMillis, resolve);
    owedMillis = 0;
    await Promise.race([promise, aborted]);
    timer.cancel();
  };
}
