/** Readers of a live body: who follows it and how far each has come, so that a run knows whom it feeds. */

export interface Reader {
  /** Next byte it needs. */
  at: number;
}

export class Readers {
  readonly #readers = new Set<Reader>();

  get size(): number {
    return this.#readers.size;
  }

  follow(at: number): Reader {
    const reader: Reader = { at };
    this.#readers.add(reader);
    return reader;
  }

  leave(reader: Reader): void {
    this.#readers.delete(reader);
  }

  /** Position of the slowest; Infinity when nobody reads. */
  slowest(): number {
    let slowest = Number.POSITIVE_INFINITY;
    for (const { at } of this.#readers) if (at < slowest) slowest = at;
    return slowest;
  }

  /** Position of the fastest; -1 when nobody reads. */
  fastest(): number {
    let fastest = -1;
    for (const { at } of this.#readers) if (at > fastest) fastest = at;
    return fastest;
  }
}
