/** What a fill looks like to a person: the receipt as a table, and one line while it runs. Pure: numbers in, text out. */
import type { FillProgress } from '../control-plane/api.ts';
import type { ApplianceFill } from './control-client.ts';
import { compareText } from './rendezvous.ts';

const COLUMNS = ['appliance', 'site', 'state', 'assets', 'bytes', 'from peer', 'from region', 'from origin', 'failed'];
const BAR_CELLS = 24;

/** One row an appliance, by site, a total, and below it every failure that was told. */
export function receiptTable(unordered: readonly ApplianceFill[]): string {
  const appliances = unordered.toSorted((a, b) => compareText(a.site, b.site) || compareText(a.id, b.id));
  const rows = appliances.map(({ id, site, fill }) => [id, site, fill.state, ...amounts(fill)]);
  const total = appliances.map(({ fill }) => fill).reduce(added, undefined);
  const lines = [COLUMNS, ...rows, ...(total === undefined ? [] : [['total', '', '', ...amounts(total)]])];
  const widths = COLUMNS.map((_, i) => Math.max(...lines.map((line) => line[i]!.length)));
  const table = lines.map((line) =>
    line
      .map((cell, i) => (i < 3 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join('  ')
      .trimEnd(),
  );
  const failures = appliances.flatMap(({ id, fill }) => fill.failures.map(({ path, why }) => `${id}  ${path}  ${why}`));
  return `${[...table, ...(failures.length > 0 ? ['', ...failures] : [])].join('\n')}\n`;
}

/** `[######------] 50 %  105.0 MB of 210.0 MB  2 of 4 appliances`. */
export function progressLine(appliances: readonly ApplianceFill[]): string {
  const done = appliances.reduce((sum, { fill }) => sum + fill.bytesDone, 0);
  const planned = appliances.reduce((sum, { fill }) => sum + fill.bytesPlanned, 0);
  const ready = appliances.filter(({ fill }) => fill.state === 'done').length;
  const part = planned > 0 ? Math.min(1, done / planned) : 0;
  const cells = Math.floor(part * BAR_CELLS);
  const bar = `[${'#'.repeat(cells)}${'-'.repeat(BAR_CELLS - cells)}]`;
  return `${bar} ${Math.floor(part * 100)} %  ${bytesText(done)} of ${bytesText(planned)}  ${ready} of ${appliances.length} appliances`;
}

/** Decimal, as disks and links are sold: `210.3 MB`. */
export function bytesText(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let amount = bytes;
  let unit = 0;
  for (; amount >= 999.95 && unit < units.length - 1; unit++) amount /= 1000;
  return `${unit === 0 ? amount : amount.toFixed(1)} ${units[unit]}`;
}

function amounts(fill: FillProgress): string[] {
  const { peer, region, origin } = fill.bytesBySource;
  const failed = fill.state === 'done' ? String(fill.assetsPlanned - fill.assetsDone) : String(fill.failures.length);
  return [
    `${fill.assetsDone}/${fill.assetsPlanned}`,
    bytesText(fill.bytesDone),
    bytesText(peer),
    bytesText(region),
    bytesText(origin),
    failed,
  ];
}

function added(sum: FillProgress | undefined, part: FillProgress): FillProgress {
  if (sum === undefined) return part;
  return {
    ...sum,
    state: sum.state === 'done' ? part.state : sum.state,
    assetsPlanned: sum.assetsPlanned + part.assetsPlanned,
    assetsDone: sum.assetsDone + part.assetsDone,
    bytesPlanned: sum.bytesPlanned + part.bytesPlanned,
    bytesDone: sum.bytesDone + part.bytesDone,
    bytesBySource: {
      peer: sum.bytesBySource.peer + part.bytesBySource.peer,
      region: sum.bytesBySource.region + part.bytesBySource.region,
      origin: sum.bytesBySource.origin + part.bytesBySource.origin,
    },
    failures: [...sum.failures, ...part.failures],
  };
}
