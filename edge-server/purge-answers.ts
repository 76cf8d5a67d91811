/** Purges that one worker has made durable and that the others are to have in force before its client hears of it. */
import { Fault } from '../runtime/errors.ts';
import type { Purge } from './store/contract.ts';
import type { FromWorker } from './worker-messages.ts';

const PURGE_DEADLINE_MILLIS = 5000;

/** Purges of this worker that wait until the others have them in force. */
export class PurgeAnswers {
  readonly #tell: (message: FromWorker) => void;
  readonly #waiting = new Map<number, { resolve: () => void; reject: (error: Error) => void; timer: NodeJS.Timeout }>();
  #next = 1;

  constructor(tell: (message: FromWorker) => void) {
    this.#tell = tell;
  }

  inEveryWorker(purges: readonly Purge[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const ask = this.#next++;
      const timer = setTimeout(() => {
        this.#waiting.delete(ask);
        reject(
          new Fault('purge-unconfirmed', 'the other workers did not confirm the purge in time', {
            source: 'internal',
            retry: true,
          }),
        );
      }, PURGE_DEADLINE_MILLIS);
      this.#waiting.set(ask, { resolve, reject, timer });
      this.#tell({ kind: 'purged-here', ask, purges });
    });
  }

  heard(ask: number, ok: boolean): void {
    const waiting = this.#waiting.get(ask);
    this.#waiting.delete(ask);
    clearTimeout(waiting?.timer);
    if (ok) waiting?.resolve();
    else
      waiting?.reject(
        new Fault('purge-unconfirmed', 'a worker could not apply the purge', { source: 'internal', retry: true }),
      );
  }
}
