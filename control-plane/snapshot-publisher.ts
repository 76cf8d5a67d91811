/**
 * Turns what the fleet looks like into the next snapshot, when it differs from the last one. Numbers rise over restarts
 * and crashes: they are reserved in the state before they are used.
 */
import type { Clock } from '../runtime/clock.ts';
import type { Tally } from '../runtime/metrics.ts';
import type { CONTROL_COUNTERS } from './counters.ts';
import type { History } from './history.ts';
import type { Snapshot } from './snapshot.ts';
import type { SnapshotStore } from './snapshot-store.ts';
import type { State } from './state.ts';

const RESERVED = 1000;

export interface SnapshotPublisherParts {
  readonly state: Pick<State, 'reserveNumbers'>;
  readonly snapshots: SnapshotStore;
  readonly history: History;
  readonly clock: Clock;
  readonly tally: Tally<typeof CONTROL_COUNTERS>;
}

export class SnapshotPublisher {
  readonly #parts: SnapshotPublisherParts;
  #next = 1;
  #end = 1;
  #reserving: Promise<void> | undefined;
  #lastBody = '';

  constructor(parts: SnapshotPublisherParts) {
    this.#parts = parts;
  }

  async start(): Promise<void> {
    await this.#reserve(this.#parts.snapshots.index?.snapshot.number ?? 0);
  }

  async close(): Promise<void> {
    await this.#reserving;
  }

  /** Whether there is any snapshot to decide from, also one of a run before. */
  get published(): boolean {
    return this.#parts.snapshots.index !== undefined;
  }

  /** `forced`: an operator just gave the topology, so that much may vanish at once. */
  publish(body: Omit<Snapshot, 'number' | 'atMillis'>, forced: boolean): void {
    const { snapshots, clock, tally, history } = this.#parts;
    const text = JSON.stringify(body);
    if (text === this.#lastBody) return;
    const current = snapshots.index?.snapshot.number ?? 0;
    const number = Math.max(this.#next, current + 1);
    this.#next = number + 1;
    if (this.#end - number < RESERVED / 2) this.#reserving ??= this.#reserve(number);
    const refusal = snapshots.publish({ number, atMillis: clock.now(), ...body }, forced);
    this.#lastBody = text;
    if (refusal === undefined) tally.set('snapshot_number', number);
    else {
      tally.add('snapshots_refused_total');
      history.record('alarm', `snapshot ${number} refused: ${refusal}; steering goes on from ${current}`);
    }
  }

  async #reserve(above: number): Promise<void> {
    try {
      const first = await this.#parts.state.reserveNumbers('snapshot', RESERVED, above);
      this.#next = Math.max(this.#next, first);
      this.#end = first + RESERVED;
    } catch (error) {
      // Goes on with numbers in memory; after a crash the copy on disk says where to go on.
      this.#parts.history.record('alarm', `no snapshot numbers reserved: ${String(error)}`);
    } finally {
      this.#reserving = undefined;
    }
  }
}
