/** What a row's rounds say: medians, ratios of paired rounds, and whether the bar is met. No I/O, no clock. */
import { isLarge, type Scenario } from './scenarios.ts';

export interface Round {
  readonly requests: number;
  readonly requestsPerSecond: number;
  readonly bytesPerSecond: number;
  readonly p50Millis: number | undefined;
  readonly p99Millis: number | undefined;
  readonly errors: number;
  /** Requests that reached the origin: none for hits, every one for misses. */
  readonly originRequests: number;
  /** User and system time of all the server's processes, over the answers. */
  readonly serverMicrosPerRequest: number;
  /** Cores kept busy by the server, the load and the origin. */
  readonly serverCores: number;
  readonly loadCores: number | undefined;
  readonly originCores: number | undefined;
}

/** One setting in a short run. */
export interface Trial {
  /** Bytes/s of large bodies, else requests/s; 0 where it failed. */
  readonly figure: number;
  /** The server's CPU time per request; none where it failed. */
  readonly cpuMicros: number | undefined;
}

export interface ServerResult {
  readonly server: string;
  readonly setting: string;
  readonly tried: Readonly<Record<string, Trial>>;
  readonly rounds: readonly Round[];
  /** Of misses asked for again, the share that was stored; none where the load can't name them. */
  readonly storedShare: number | undefined;
}

export interface Against {
  readonly server: string;
  /** Ours over theirs (for latency theirs over ours), median of paired rounds: above 1 is better. */
  readonly ratio: number;
  /** Their CPU time per request over ours. */
  readonly cpuRatio: number;
}

export interface Verdict {
  readonly against: readonly Against[];
  /** The peer that the bar is held against, none where it was not measured. */
  readonly judged: Against | undefined;
  /** `unproven`: hits reached the origin, misses were not all fetched and stored, or answers failed. */
  readonly bar: 'met' | 'not met' | 'unproven' | 'no peer';
  readonly doubts: readonly string[];
}

/** Share of a core above which load and origin leave the server waiting. */
const BUSY = 0.93;
const STORED_AT_LEAST = 0.98;

/** `results[0]` is ours. */
export function verdictOf(scenario: Scenario, results: readonly ServerResult[]): Verdict {
  const [ours, ...peers] = results;
  const against = peers.map((peer) => ({
    server: peer.server,
    ratio: pairedRatio(ours!, peer, (round) => figureOf(scenario, round)),
    cpuRatio: 1 / pairedRatio(ours!, peer, (round) => round.serverMicrosPerRequest),
  }));
  const named = against.filter(({ server }) => scenario.bar.against === 'best' || server === scenario.bar.against);
  // The best peer is the one that we do least well against.
  const judged = named.length === 0 ? undefined : named.reduce((a, b) => (b.ratio < a.ratio ? b : a));
  const doubts = results.flatMap((result) => doubtsOf(scenario, result).map((doubt) => `${result.server}: ${doubt}`));
  const proven = results.every((result) => isProven(scenario, result));
  const met = judged !== undefined && judged.ratio >= scenario.bar.ratio;
  return {
    against,
    judged,
    doubts,
    bar: judged === undefined ? 'no peer' : !proven ? 'unproven' : met ? 'met' : 'not met',
  };
}

/** Larger is better: requests/s, bytes/s of large bodies, or the inverse of the median latency. */
export function figureOf(scenario: Scenario, round: Round): number {
  if (scenario.figure === 'latency') return 1 / round.p50Millis!;
  return isLarge(scenario) ? round.bytesPerSecond : round.requestsPerSecond;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Median of one figure over a server's rounds; none where no round has it. */
export function medianOf(result: ServerResult, figure: (round: Round) => number | undefined): number | undefined {
  const values = result.rounds.map(figure).filter((value) => value !== undefined);
  return values.length === 0 ? undefined : median(values);
}

/** Round by round, since machines drift: what holds is the ratio of two neighbours. */
function pairedRatio(ours: ServerResult, theirs: ServerResult, figure: (round: Round) => number): number {
  return median(ours.rounds.map((round, i) => figure(round) / figure(theirs.rounds[i]!)));
}

function isProven(scenario: Scenario, { rounds, storedShare }: ServerResult): boolean {
  const answered = rounds.every(({ errors, bytesPerSecond }) => bytesPerSecond > 0 && errors === 0);
  if (scenario.from !== 'miss') return answered && rounds.every(({ originRequests }) => originRequests === 0);
  const fetched = rounds.every(({ originRequests, requests }) => originRequests >= requests);
  return answered && fetched && (storedShare ?? 0) >= STORED_AT_LEAST;
}

function doubtsOf(scenario: Scenario, result: ServerResult): string[] {
  const doubts: string[] = [];
  const sum = (figure: (round: Round) => number) => result.rounds.reduce((total, round) => total + figure(round), 0);
  const errors = sum((round) => round.errors);
  if (errors > 0) doubts.push(`${errors} errors`);
  const asked = sum((round) => round.originRequests);
  if (scenario.from !== 'miss' && asked > 0) doubts.push(`${asked} hits reached the origin`);
  if (scenario.from === 'miss' && asked < sum((round) => round.requests))
    doubts.push('misses did not reach the origin');
  if (scenario.from === 'miss' && result.storedShare === undefined) doubts.push('not known whether misses were stored');
  else if (scenario.from === 'miss' && result.storedShare! < STORED_AT_LEAST)
    doubts.push(`${Math.round(result.storedShare! * 100)} % of misses stored`);
  const others = medianOf(result, (round) => (round.loadCores ?? 0) + (round.originCores ?? 0))!;
  const own = medianOf(result, (round) => round.serverCores)!;
  if (scenario.cores === 1 && scenario.figure === 'rate' && others > BUSY && own < BUSY)
    doubts.push(`load and origin were the limit (${others.toFixed(2)} cores; server ${own.toFixed(2)})`);
  return doubts;
}
