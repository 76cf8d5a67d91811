/**
 * How often keys were asked for lately, roughly: one byte for each of a million hashes (a count-min sketch with one
 * row). Decides what memory admits at its second use and what eviction keeps. Everything halves after a while, so
 * that what was wanted last week gives way (as TinyLFU does it; Einziger et al. 2017).
 */
const SLOTS = 1 << 20;

export class Uses {
  readonly #counts = new Uint8Array(SLOTS);
  #sinceHalving = 0;

  /** Counts one more use and returns how many there were before. */
  touch(hash: number, times = 1): number {
    const slot = hash & (SLOTS - 1);
    const before = this.#counts[slot]!;
    this.#counts[slot] = Math.min(255, before + times);
    if (++this.#sinceHalving >= SLOTS) this.#halve();
    return before;
  }

  count(hash: number): number {
    return this.#counts[hash & (SLOTS - 1)]!;
  }

  /** Spends half of what a key has: to stay a second time it must be asked for again. */
  spend(hash: number): void {
    this.#counts[hash & (SLOTS - 1)]! >>= 1;
  }

  #halve(): void {
    this.#sinceHalving = 0;
    for (let i = 0; i < SLOTS; i++) this.#counts[i]! >>= 1;
  }
}
