/**
 * What a worker does after its start, behind the serving: counts the extents that it owns, then takes away files
 * that no row of the index names, as a killed writer leaves them. Nothing waits for it.
 */
import type { Extent } from './extents.ts';
import { parseExtentName } from './extents.ts';
import { Segment, segmentKey } from './segment.ts';
import type { Volume } from './volume.ts';

/** Counts this worker's extents, so that the budget is about all that lies there. Files made in this run are known already. */
export async function adoptExtents(volume: Volume): Promise<void> {
  const { extents, files } = volume;
  for (const name of await files.list(extents.directory)) {
    const parsed = parseExtentName(name);
    if (parsed === undefined || !volume.ownsWorker(parsed.worker) || extents.owned.has(name)) continue;
    try {
      extents.adopt({ name, ...parsed }, (await files.size(extents.path(name))).diskBytes);
    } catch {
      // Gone between the listing and the look.
    }
  }
}

/** Takes away what no row names. `before`: the first number of this run; what is younger is still being written. */
export async function sweep(
  volume: Volume,
  before: number,
  signal: AbortSignal,
): Promise<{ files: number; bytes: number }> {
  const swept = { files: 0, bytes: 0 };
  for (const extent of [...volume.extents.owned.values()]) {
    if (signal.aborted || !volume.good) break;
    if (extent.number >= before || extent.busy > 0 || named(volume, extent)) continue;
    swept.files++;
    swept.bytes += extent.diskBytes;
    await volume.extents.unlink(extent.name);
    if (extent.kind === 'large')
      await volume.changing(() => volume.index.removeSegment(segmentKey(extent.number, extent.worker, extent.segment)));
  }
  return swept;
}

/** A shared extent is noted in the index with its first row; a large one's segment leads to a response that has it. */
function named(volume: Volume, extent: Extent): boolean {
  const { index } = volume;
  // Without an answer from the index nothing is taken away.
  if (extent.kind === 'shared') return volume.look(() => index.registered(extent.number, extent.worker)) !== false;
  const answer = volume.look(() => ({ row: index.segment(segmentKey(extent.number, extent.worker, extent.segment)) }));
  if (answer === undefined) return true;
  const segment = answer.row === undefined ? undefined : Segment.decode(answer.row);
  const found = segment === undefined ? undefined : volume.find(segment.rowKey);
  if (found?.row.kind !== 'response' || found.row.place.kind !== 'sliced') return false;
  return found.row.place.body === extent.number && found.row.place.worker === extent.worker;
}
