/**
 * Numbers that are never given twice on a volume, also not by an earlier or later run: extents, bodies, versions.
 * They start at the wall clock × 1,024, above everything an earlier run gave at under a million a second.
 */
export class Numbers {
  #last: number;

  constructor(nowMillis: number) {
    this.#last = nowMillis * 1024;
  }

  next(): number {
    return ++this.#last;
  }
}
