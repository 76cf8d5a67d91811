/**
 * How much each site asks for each asset: bytes asked for ÷ file size, halved each day (conventions §5). A
 * score of 3 reads "three whole copies of it went out just now, or six a day ago". Pure: time is an argument, updates answer new values.
 * Counting at the edge and keeping the scores between runs is left to the edge and the control plane.
 */

/** One asset at one site. The score is as of `atMillis` and shrinks from there. */
export interface AssetPopularity {
  readonly score: number;
  readonly atMillis: number;
}

/** site → path → popularity. */
export type Popularity = ReadonlyMap<string, ReadonlyMap<string, AssetPopularity>>;

/** After a day a score counts half, after a week 1/128. */
export const HALF_LIFE_MILLIS = 86_400_000;

/** Scores below this are forgotten: a thousandth of one copy. */
const FORGOTTEN = 0.001;

/** The score as of `nowMillis`. A clock that went backwards does not raise it. */
export function decayedScore(popularity: AssetPopularity | undefined, nowMillis: number): number {
  if (popularity === undefined) return 0;
  const age = Math.max(0, nowMillis - popularity.atMillis);
  return popularity.score * 2 ** (-age / HALF_LIFE_MILLIS);
}

/** Adds bytes that clients asked for. An empty file counts a request as one copy. */
export function withDemand(
  before: AssetPopularity | undefined,
  demand: { readonly requests: number; readonly bytes: number },
  assetBytes: number,
  nowMillis: number,
): AssetPopularity {
  const copies = assetBytes > 0 ? demand.bytes / assetBytes : demand.requests;
  const atMillis = Math.max(nowMillis, before?.atMillis ?? nowMillis);
  return { score: decayedScore(before, atMillis) + Math.max(0, copies), atMillis };
}

/**
 * One heartbeat's report (`Heartbeat.popularity`: path → [requests, bytes]) put into a site's scores.
 * Paths that the catalogue does not know are left out: nothing could be filled for them.
 */
export function withReport(
  before: ReadonlyMap<string, AssetPopularity>,
  report: Readonly<Record<string, readonly [requests: number, bytes: number]>>,
  assetBytes: (path: string) => number | undefined,
  nowMillis: number,
): Map<string, AssetPopularity> {
  const after = new Map(before);
  for (const [path, [requests, bytes]] of Object.entries(report)) {
    const size = assetBytes(path);
    if (size !== undefined) after.set(path, withDemand(after.get(path), { requests, bytes }, size, nowMillis));
  }
  return after;
}

/** Without what nobody has asked for in a long time. Call it once a day or so. */
export function withoutForgotten(before: ReadonlyMap<string, AssetPopularity>, nowMillis: number) {
  return new Map([...before].filter(([, popularity]) => decayedScore(popularity, nowMillis) >= FORGOTTEN));
}
