/** Which extent goes first: a decision over what is known of each. Pure. */

export interface Candidate {
  /** Grows with time: the least is the oldest. */
  readonly number: number;
  readonly segment: number;
  readonly bodyBytes: number;
  readonly deadBytes: number;
  readonly uses: number;
  readonly busy: number;
  readonly sealed: boolean;
}

/** Only the older part competes: what came in lately has had no time to be used (FIFO with reinsertion, as S3-FIFO). */
const OLDER_PART = 1 / 4;

/**
 * The extent whose loss costs least: among the older quarter the one with the fewest uses for the live bytes that
 * it holds, or any that is mostly dead. `undefined` when all are open, busy or passed over.
 */
export function victim<T extends Candidate>(extents: Iterable<T>, passed: (extent: T) => boolean): T | undefined {
  const candidates = [...extents].filter((one) => one.sealed && one.busy === 0 && !passed(one));
  candidates.sort((a, b) => a.number - b.number || a.segment - b.segment);
  const older = Math.max(1, Math.ceil(candidates.length * OLDER_PART));
  let best: T | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const [age, one] of candidates.entries()) {
    if (age >= older && liveShare(one) > 1 / 2) continue;
    const value = (one.uses + 1) * liveShare(one);
    if (value < least) [least, best] = [value, one];
  }
  return best;
}

function liveShare(extent: Candidate): number {
  return extent.bodyBytes === 0 ? 0 : 1 - extent.deadBytes / extent.bodyBytes;
}
