/**
 * What happened, in order: kept in the state, the newest in memory, told to whoever listens (the console, the box).
 * One event is one line. Meaning is left to those who record.
 */
import type { Clock } from '../runtime/clock.ts';
import type { Logger } from '../runtime/log.ts';
import type { EventKind, HistoryEvent, State } from './state.ts';

const REMEMBERED = 500;
const TEXT_LENGTH = 500;

export class History {
  readonly #state: State;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #recent: HistoryEvent[] = [];
  readonly #listeners = new Set<(event: HistoryEvent) => void>();
  #number = 0;
  #kept: Promise<unknown> = Promise.resolve();

  constructor(state: State, clock: Clock, log: Logger) {
    this.#state = state;
    this.#clock = clock;
    this.#log = log;
  }

  /** Reads what the runs before left. */
  async start(): Promise<void> {
    this.#recent.push(...(await this.#state.events(REMEMBERED)));
    this.#number = this.#recent.at(-1)?.number ?? 0;
  }

  /** Told at once to listeners, kept behind them. */
  record(kind: EventKind, text: string): void {
    const line = text
      .replace(/[\0-\x1f\x7f]+/g, ' ')
      .trim()
      .slice(0, TEXT_LENGTH);
    const event = { number: ++this.#number, at: new Date(this.#clock.now()).toISOString(), kind, text: line };
    this.#recent.push(event);
    if (this.#recent.length > REMEMBERED) this.#recent.shift();
    for (const listener of this.#listeners) listener(event);
    this.#log[kind === 'alarm' ? 'error' : 'info']({ event: kind }, line);
    this.#kept = this.#kept
      .then(() => this.#state.appendEvent(event))
      .catch((error: unknown) => this.#log.error({ err: error }, 'event not kept'));
  }

  /** Oldest first. */
  recent(limit: number): readonly HistoryEvent[] {
    return limit <= 0 ? [] : this.#recent.slice(-limit);
  }

  /** Returns how to stop listening. */
  listen(listener: (event: HistoryEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    await this.#kept;
  }
}
