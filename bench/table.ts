/** Results as an aligned table or as JSON. */

export interface Row {
  readonly scenario: string;
  readonly server: string;
  readonly setting: string;
  readonly requestsPerSecond: number;
  readonly megabytesPerSecond: number;
  readonly p50Millis: number;
  readonly p99Millis: number;
  readonly errors: number;
  readonly originRequests: number;
  /** Ours over this server's, median of pairs; 1 for ours. */
  readonly ratio: number;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function print(rows: readonly Row[], json: boolean): void {
  if (json) {
    process.stdout.write(`${JSON.stringify(rows, undefined, 2)}\n`);
    return;
  }
  const heads = [
    'scenario',
    'server',
    'setting',
    'requests/s',
    'MB/s',
    'p50 ms',
    'p99 ms',
    'errors',
    'origin asked',
    'ours/this',
  ];
  const cells = rows.map((row) => [
    row.scenario,
    row.server,
    row.setting,
    Math.round(row.requestsPerSecond).toString(),
    Math.round(row.megabytesPerSecond).toString(),
    row.p50Millis.toFixed(2),
    row.p99Millis.toFixed(2),
    row.errors.toString(),
    row.originRequests.toString(),
    row.ratio.toFixed(2),
  ]);
  const widths = heads.map((head, i) => Math.max(head.length, ...cells.map((cell) => cell[i]!.length)));
  for (const line of [heads, ...cells])
    process.stdout.write(
      `${line.map((cell, i) => (i < 3 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join('  ')}\n`,
    );
}
