/** What clients asked for since the last report: requests and bytes by path, bounded, for the control plane's fill. */

/** Counts of one path; kept by whoever answers it, so that a hit adds without a look-up. */
export interface PathCount {
  readonly path: string;
  requests: number;
  bytes: number;
  listed: boolean;
}

export class Popularity {
  readonly #limit: number;
  #listed: PathCount[] = [];

  constructor(limit = 1000) {
    this.#limit = limit;
  }

  add(count: PathCount, bytes: number): void {
    count.requests += 1;
    count.bytes += bytes;
    if (count.listed) return;
    count.listed = true;
    this.#listed.push(count);
  }

  /** The paths with the most bytes, at most the limit; counting starts again. */
  take(): Record<string, [requests: number, bytes: number]> {
    const listed = this.#listed.sort((a, b) => b.bytes - a.bytes);
    this.#listed = [];
    const taken: Record<string, [number, number]> = Object.create(null);
    for (const [rank, count] of listed.entries()) {
      if (rank < this.#limit) {
        const before = taken[count.path];
        taken[count.path] = [count.requests + (before?.[0] ?? 0), count.bytes + (before?.[1] ?? 0)];
      }
      count.requests = 0;
      count.bytes = 0;
      count.listed = false;
    }
    return taken;
  }
}
