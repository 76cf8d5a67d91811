/** How far a fill is, as the heartbeat and the API tell it: nothing yet, and several workers' parts as one. Pure. */
import type { FillProgress } from '../control-plane/api.ts';

export const NO_FILL: FillProgress = {
  manifestVersion: 0,
  state: 'idle',
  assetsPlanned: 0,
  assetsDone: 0,
  bytesPlanned: 0,
  bytesDone: 0,
  bytesBySource: { peer: 0, region: 0, origin: 0 },
  failures: [],
};

export const MOST_FAILURES = 20;

/** One appliance's progress from its workers', each of which counts only the assets that it owns. */
export function mergedProgress(parts: readonly FillProgress[]): FillProgress {
  const version = Math.max(0, ...parts.map((part) => part.manifestVersion));
  // A worker that has not come to the newest manifest yet is still to fill.
  const behind = parts.some((part) => part.manifestVersion !== version);
  const current = parts.filter((part) => part.manifestVersion === version);
  const sum = (amount: (part: FillProgress) => number) => current.reduce((total, part) => total + amount(part), 0);
  const states = new Set(current.map((part) => part.state));
  const state =
    behind || states.has('filling') ? 'filling' : (['paused', 'done'] as const).find((one) => states.has(one));
  return {
    manifestVersion: version,
    state: version === 0 ? 'idle' : (state ?? 'idle'),
    assetsPlanned: sum((part) => part.assetsPlanned),
    assetsDone: sum((part) => part.assetsDone),
    bytesPlanned: sum((part) => part.bytesPlanned),
    bytesDone: sum((part) => part.bytesDone),
    bytesBySource: {
      peer: sum((part) => part.bytesBySource.peer),
      region: sum((part) => part.bytesBySource.region),
      origin: sum((part) => part.bytesBySource.origin),
    },
    failures: current.flatMap((part) => part.failures).slice(-MOST_FAILURES),
  };
}
