/** Waits of tests: for an event, never for time, and never longer than a deadline. */

/** Long enough for a machine with five times as much to do as it can; nothing that goes well waits for it. */
export const DEADLINE_MILLIS = 20_000;

/** The promise's outcome; rejects with what was waited for when the deadline comes first. */
export async function within<T>(work: Promise<T>, what: string, millis = DEADLINE_MILLIS): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`not within ${millis} ms: ${what}`)), millis);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Looks until it holds. For what an edge reports once a second: in between, the processors are for others. */
export async function eventually(
  condition: () => Promise<boolean>,
  what: string,
  millis = DEADLINE_MILLIS,
): Promise<void> {
  const deadline = performance.now() + millis;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`not within ${millis} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Something that others wait for until it is opened. */
export interface Gate {
  readonly opened: Promise<void>;
  open(): void;
}

export function gate(): Gate {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
}
