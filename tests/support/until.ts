/** Waits for a condition of another process, which gives no event, by looking again until a deadline. */
import { setTimeout as wait } from 'node:timers/promises';

/** The first value that is not undefined; throws with `what` when the deadline passes. */
export async function until<T>(
  what: string,
  deadlineMillis: number,
  look: () => Promise<T | undefined> | T | undefined,
  everyMillis = 50,
): Promise<T> {
  const end = performance.now() + deadlineMillis;
  for (;;) {
    const value = await look();
    if (value !== undefined) return value;
    if (performance.now() > end) throw new Error(`${what}: not within ${deadlineMillis} ms`);
    await wait(everyMillis);
  }
}
