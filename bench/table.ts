/** Results as an aligned table. */
import { isLarge, type Scenario } from './scenarios.ts';
import { medianOf, type ServerResult, type Verdict } from './verdict.ts';

export interface Row {
  readonly scenario: Scenario;
  /** Ours first. */
  readonly results: readonly ServerResult[];
  readonly verdict: Verdict | undefined;
  /** Why there are no results. */
  readonly failure: string | undefined;
}

/** One row told as soon as it is known. */
export function progressLine({ scenario, results, verdict }: Row): string {
  const rates = results.map((result) => `${result.server} ${rateText(scenario, result)}`).join(', ');
  const judged = verdict?.judged;
  const bar =
    judged === undefined
      ? ''
      : `; ${judged.ratio.toFixed(2)} of ${judged.server} (≥ ${scenario.bar.ratio}: ${verdict!.bar})`;
  return `${scenario.title}: ${rates}${bar}`;
}

// biome-ignore format: one line of heads
const HEADS = ['scenario', 'server', 'rate', 'ours/this', 'bar', '', 'CPU µs/req', 'CPU this/ours', 'p50 ms', 'p99 ms', 'server cores', 'load+origin', 'origin asked', 'setting'];
/** Text stands at the left, figures at the right. */
const LEFT = new Set(['scenario', 'server', 'setting', '']);

export function tableText(rows: readonly Row[]): string {
  const cells = rows.flatMap((row) => row.results.map((result, i) => cellsOf(row, result, i)));
  const widths = HEADS.map((head, i) => Math.max(head.length, ...cells.map((cell) => cell[i]!.length)));
  const lines = [HEADS, ...cells].map((line) =>
    line
      .map((cell, i) => (LEFT.has(HEADS[i]!) ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join('  ')
      .trimEnd(),
  );
  const doubts = rows.flatMap(({ scenario, verdict }) =>
    (verdict?.doubts ?? []).map((doubt) => `${scenario.title}: ${doubt}`),
  );
  const failures = rows.flatMap(({ scenario, failure }) =>
    failure === undefined ? [] : [`${scenario.title}: ${failure}`],
  );
  const remarks = [...failures, ...doubts];
  return [...lines, ...(remarks.length === 0 ? [] : ['', ...remarks]), ''].join('\n');
}

function cellsOf({ scenario, verdict }: Row, result: ServerResult, place: number): string[] {
  const against = verdict?.against.find(({ server }) => server === result.server);
  const judged = verdict?.judged?.server === result.server;
  const others = medianOf(result, ({ loadCores, originCores }) =>
    loadCores === undefined ? undefined : loadCores + (originCores ?? 0),
  );
  return [
    place === 0 ? scenario.title : '',
    result.server,
    rateText(scenario, result),
    against === undefined ? '' : against.ratio.toFixed(2),
    judged ? `≥ ${scenario.bar.ratio}` : '',
    judged ? verdict!.bar : '',
    medianOf(result, (round) => round.serverMicrosPerRequest)!.toFixed(1),
    against === undefined ? '' : against.cpuRatio.toFixed(2),
    millisText(medianOf(result, (round) => round.p50Millis)),
    millisText(medianOf(result, (round) => round.p99Millis)),
    medianOf(result, (round) => round.serverCores)!.toFixed(2),
    others === undefined ? '-' : others.toFixed(2),
    String(result.rounds.reduce((sum, round) => sum + round.originRequests, 0)),
    result.setting,
  ];
}

function rateText(scenario: Scenario, result: ServerResult): string {
  if (scenario.figure === 'latency') return `${medianOf(result, (round) => round.p50Millis)!.toFixed(3)} ms`;
  if (isLarge(scenario)) return `${(medianOf(result, (round) => round.bytesPerSecond)! / 1e9).toFixed(2)} GB/s`;
  return `${Math.round(medianOf(result, (round) => round.requestsPerSecond)!)}/s`;
}

function millisText(millis: number | undefined): string {
  return millis === undefined ? '-' : millis.toFixed(2);
}
