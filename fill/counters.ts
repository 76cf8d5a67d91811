/** Metrics of a fill, for the appliance's admin listener: one table, set from the progress at scrape time. */
import type { FillProgress } from '../control-plane/api.ts';
import type { MetricTable, Tally } from '../runtime/metrics.ts';

/** Registered as `nearcast_fill_<name>`. Gauges: each manifest begins at zero. */
export const FILL_METRICS = {
  manifest_version: {
    kind: 'gauge',
    help: 'Manifest that the appliance works on or has finished; 0 for none.',
    advice: 'Care when appliances of a site stay apart for more than a minute.',
  },
  state: {
    kind: 'gauge',
    help: '1 for the state of the fill, 0 for the others.',
    advice: 'Care when it is filling at the end of the window.',
    label: { name: 'state', values: ['idle', 'filling', 'done', 'paused'] },
  },
  planned_bytes: {
    kind: 'gauge',
    help: 'Bytes that the manifest names.',
    advice: 'Care when it is near zero: the catalogue or the plan is empty.',
  },
  done_bytes: {
    kind: 'gauge',
    help: 'Bytes of it that are held, checked, or on their way.',
    advice: 'Care when it stands still while the state is filling.',
  },
  planned_assets: {
    kind: 'gauge',
    help: 'Assets that the manifest names.',
    advice: 'Care when it changes much from one day to the next.',
  },
  done_assets: {
    kind: 'gauge',
    help: 'Assets of it that are held and checked.',
    advice: 'Care when the state is done and it is less than planned: `nearcast fill status` names what failed.',
  },
  received_bytes: {
    kind: 'gauge',
    help: 'Bytes that the fill has received for this manifest.',
    advice: 'Care when most come from region or origin at a site with several appliances.',
    label: { name: 'source', values: ['peer', 'region', 'origin'] },
  },
} as const satisfies MetricTable;

/** Puts an appliance's progress (all workers together, see `mergedProgress`) into the tally. */
export function tallyProgress(tally: Tally<typeof FILL_METRICS>, progress: FillProgress): void {
  tally.set('manifest_version', progress.manifestVersion);
  for (const state of FILL_METRICS.state.label.values) tally.set('state', state === progress.state ? 1 : 0, state);
  tally.set('planned_bytes', progress.bytesPlanned);
  tally.set('done_bytes', progress.bytesDone);
  tally.set('planned_assets', progress.assetsPlanned);
  tally.set('done_assets', progress.assetsDone);
  for (const source of FILL_METRICS.received_bytes.label.values)
    tally.set('received_bytes', progress.bytesBySource[source], source);
}
