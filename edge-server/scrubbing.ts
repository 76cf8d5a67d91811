/** When the store is scrubbed: a pass an hour, one at a time, slowly. What a pass does is the store's. */
import { systemClock, type Timer } from '../runtime/clock.ts';
import type { Logger } from '../runtime/log.ts';
import type { SharedStore } from './store/shared-store.ts';

/** A pass begins this often, unless the one before still runs: at 16 MiB/s a terabyte takes 17 hours. */
const SCRUB_MILLIS = 3_600_000;

/** Reads everything again and again, slowly, so that a rotten disk is found before its bytes are asked for. */
export function scrubbing(store: SharedStore, bytesPerSecond: number, log: Logger): Timer {
  let running = false;
  return systemClock.every(SCRUB_MILLIS, () => {
    if (running) return;
    running = true;
    store
      .scrub(bytesPerSecond)
      .then((outcome) => log.info(outcome, 'scrubbed'))
      .catch((error: unknown) => log.error({ error: String(error) }, 'scrub failed'))
      .finally(() => {
        running = false;
      });
  });
}
