/**
 * What the composition root needs of the store beyond the contract: how several workers share one disk.
 *
 * Each worker has its own memory tier; the index and the extents are common. When the owner of a key replaces,
 * freshens or removes a response, its `onChange` names the keys, and the composition root calls `changed` in the
 * other workers: they forget what they remember, within a millisecond or so. That is a hint. The guarantee is the
 * round of checks: with more than one worker, what is in memory is compared with the index (one read, a few
 * microseconds) at its first use in every quarter of a second, so that a lost hint costs at most that.
 */
import type { Store } from './contract.ts';
import type { ScrubOutcome } from './scrub.ts';

export interface SharedStore extends Store {
  /** Another worker has changed these keys. */
  changed(keys: readonly string[]): void;
  /** Another worker has applied purges: in force here when it returns. */
  purgesChanged(): void;
  /** Another worker has set a volume aside. */
  volumeFailed(path: string, why: string): void;
  /**
   * One pass over all that this worker owns: compares it with its checksums and drops what rotted or was purged
   * for good. Reads `bytesPerSecond` at most. Joins a pass that is under way.
   */
  scrub(bytesPerSecond: number): Promise<ScrubOutcome>;
  /** Resolves when this worker has counted its extents and taken away what a killed one left. */
  swept(): Promise<void>;
  /** Resolves when everything published or removed so far is in the index or has been refused. */
  settled(): Promise<void>;
}
