/**
 * Ordered closing: what was opened last is closed first, each within a deadline, once.
 * A process registers its resources as it opens them and closes them all with one call.
 */

interface Closable {
  name: string;
  close: () => Promise<void> | void;
}

export interface ClosingOutcome {
  name: string;
  ended: 'closed' | 'failed' | 'deadline';
  error?: unknown;
}

export class Closing {
  readonly #stack: Closable[] = [];
  #running: Promise<ClosingOutcome[]> | undefined;

  /** Registers a resource; returns it, so that `const s = closing.add('server', s, () => s.close())` reads well. */
  add<T>(name: string, resource: T, close: () => Promise<void> | void): T {
    this.#stack.push({ name, close });
    return resource;
  }

  /** Closes everything in reverse order. Idempotent: later calls return the first call's promise. */
  close(deadlineMillis = 10_000): Promise<ClosingOutcome[]> {
    this.#running ??= this.#closeAll(deadlineMillis);
    return this.#running;
  }

  async #closeAll(deadlineMillis: number): Promise<ClosingOutcome[]> {
    const outcomes: ClosingOutcome[] = [];
    for (let next = this.#stack.pop(); next !== undefined; next = this.#stack.pop())
      outcomes.push(await closeOne(next, deadlineMillis));
    return outcomes;
  }
}

async function closeOne(closable: Closable, deadlineMillis: number): Promise<ClosingOutcome> {
  const { promise: deadline, resolve } = Promise.withResolvers<ClosingOutcome>();
  const timer = setTimeout(() => resolve({ name: closable.name, ended: 'deadline' }), deadlineMillis);
  const work = (async (): Promise<ClosingOutcome> => {
    try {
      await closable.close();
      return { name: closable.name, ended: 'closed' };
    } catch (error) {
      return { name: closable.name, ended: 'failed', error };
    }
  })();
  const outcome = await Promise.race([work, deadline]);
  clearTimeout(timer);
  return outcome;
}

export interface SignalActions {
  /** SIGTERM: finish what runs, then end. */
  drain: () => Promise<void>;
  /** SIGINT: end fast; a second one ends at once. */
  fast: () => Promise<void>;
  /** SIGHUP: read the configuration again. */
  reload?: () => void;
}

/** Wires the process's signals once. Exit code 0 after a clean end, 1 when closing threw. */
export function onSignals(actions: SignalActions): void {
  let ending = false;
  const end = (action: () => Promise<void>) => {
    if (ending) process.exit(1);
    ending = true;
    action().then(
      () => process.exit(0),
      (error: unknown) => {
        process.stderr.write(`error: closing failed: ${error instanceof Error ? error.stack : String(error)}\n`);
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', () => end(actions.drain));
  process.on('SIGINT', () => end(actions.fast));
  process.on('SIGHUP', () => actions.reload?.());
}

/**
 * Ends this process when the parent that forked it is gone, so that a killed supervisor leaves nothing running.
 * Works through the IPC channel: `disconnect` fires when the parent dies, also by kill -9.
 */
export function endWithParent(end: () => void): void {
  if (process.send !== undefined) process.on('disconnect', end);
}
