/** Whether S3 can be read now: a look every few seconds, and at once not ready when a request met its failure. */
import type { Clock, Timer } from '../runtime/clock.ts';
import type { ObjectStore } from './object-store.ts';
import { type S3FailureReason, s3FailureReason } from './s3-failure.ts';

const LOOK_EVERY_MILLIS = 5000;
/** While it is down, look sooner, so that it comes back soon. */
const LOOK_AGAIN_MILLIS = 1000;

export class Readiness {
  readonly #store: Pick<ObjectStore, 'check'>;
  readonly #clock: Clock;
  readonly #changed: (reason: S3FailureReason | undefined) => void;
  readonly #stop = new AbortController();
  #timer: Timer | undefined;
  #reason: S3FailureReason | undefined;

  constructor(
    store: Pick<ObjectStore, 'check'>,
    clock: Clock,
    changed: (reason: S3FailureReason | undefined) => void = () => {},
  ) {
    this.#store = store;
    this.#clock = clock;
    this.#changed = changed;
  }

  /** Why S3 can't be read; undefined while it can. */
  get reason(): S3FailureReason | undefined {
    return this.#reason;
  }

  start(): void {
    this.#later();
  }

  /** A request met a failure of S3. One that is about the object alone, or says "later", is no reason. */
  failed(reason: S3FailureReason): void {
    if (reason === 's3-denied' || reason === 's3-busy') return;
    this.#become(reason);
    this.#timer?.cancel();
    this.#later();
  }

  close(): void {
    this.#timer?.cancel();
    this.#stop.abort();
  }

  /** Looks now. */
  async look(): Promise<void> {
    try {
      await this.#store.check(this.#stop.signal);
      this.#become(undefined);
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#become(s3FailureReason(error));
    }
  }

  #later(): void {
    if (this.#stop.signal.aborted) return;
    this.#timer = this.#clock.after(this.#reason === undefined ? LOOK_EVERY_MILLIS : LOOK_AGAIN_MILLIS, () => {
      void this.look().then(() => this.#later());
    });
  }

  #become(reason: S3FailureReason | undefined): void {
    if (reason === this.#reason) return;
    this.#reason = reason;
    this.#changed(reason);
  }
}
