/**
 * The index's side of a shelf: writes and removes its rows, bytes first, then the row, then what it replaced gives
 * its place back. It knows nothing of memory; who may write when is `shelves.ts`'s.
 */
import { crc32 } from 'node:zlib';
import type { WriteOutcome } from './contract.ts';
import { DiskSlices, type Written } from './disk-slices.ts';
import type { Entry, KeyShelf } from './entry.ts';
import { type Extent, sharedName } from './extents.ts';
import { encodeResponse, encodeVary, type Place, type ResponseRow } from './row.ts';
import type { FoundRow, Volume } from './volume.ts';
import { rowKey } from './volume-index.ts';

export interface ShelfRowsOptions {
  /** Bodies up to this size live in the index. */
  inlineBytes: number;
  /** The key's rows have changed in the index. */
  onChange: (key: string) => void;
}

interface Placed {
  readonly place: Place;
  readonly inline?: Buffer | undefined;
  /** Busy until the row is there. */
  readonly extent?: Extent | undefined;
}

export class ShelfRows {
  readonly #options: ShelfRowsOptions;

  constructor(options: ShelfRowsOptions) {
    this.#options = options;
  }

  get inlineBytes(): number {
    return this.#options.inlineBytes;
  }

  /** Writes an entry's body, unless it has its place already, then its row. `wanted` is asked again before the row. */
  async write(volume: Volume, shelf: KeyShelf, change: { entry: Entry; wanted: () => boolean }): Promise<WriteOutcome> {
    const { entry, wanted } = change;
    const { hash, vary } = shelf;
    const name = rowKey(hash, vary, entry.response.variant);
    const brought = await this.#bring(volume, name, entry);
    if (brought.kind === 'refused') return brought;
    const { place, inline, extent } = brought.value;
    const head = volume.find(hash);
    const before = vary.length === 0 ? head : volume.find(name);
    const version = volume.numbers.next();
    const row = encoded(entry, place, inline);
    if (row === undefined) return { kind: 'refused', why: 'too-large' };
    const written = await volume.writing(async () => {
      if (!wanted()) return 'superseded';
      const puts = [volume.index.putRow(name, row, version)];
      if (vary.length > 0) puts.push(volume.index.putRow(hash, encodeVary(shelf.key, vary), version));
      if (extent !== undefined && !extent.registered) puts.push(volume.index.registerExtent(extent));
      await Promise.all(puts);
      return 'stored';
    });
    if (extent !== undefined) {
      extent.busy--;
      if (written.kind === 'refused' || written.value === 'superseded') extent.deadBytes += entry.response.bodyLength;
    }
    if (written.kind === 'refused') return written;
    if (written.value === 'superseded') return { kind: 'refused', why: 'superseded' };
    Object.assign(entry, { place, volume, rowKey: name, version });
    await this.#freeReplaced(volume, shelf, { head, before, entry });
    return { kind: 'stored' };
  }

  /** Removes the row of one variant, if it is of the given response (of any, where none is given). */
  async removeNamed(volume: Volume, shelf: KeyShelf, variant: string, id?: string): Promise<void> {
    const name = rowKey(shelf.hash, shelf.vary, variant);
    const found = volume.find(name);
    if (found?.row.kind !== 'response' || (id !== undefined && found.row.response.id !== id)) return;
    await this.#remove(volume, name, found);
  }

  /** Removes a shelf's rows but those to keep. */
  async removeAll(volume: Volume, shelf: Buffer, keep: readonly Buffer[]): Promise<void> {
    for (const name of volume.look(() => volume.index.shelfRows(shelf)) ?? []) {
      if (keep.some((one) => one.equals(name))) continue;
      const found = volume.find(name);
      if (found !== undefined) await this.#remove(volume, name, found);
    }
  }

  /** Brings the body to its place, where it is not there already. */
  async #bring(volume: Volume, name: Buffer, entry: Entry): Promise<Written<Placed>> {
    const { slices, body } = entry;
    if (slices !== undefined) {
      // A body of memory's alone, or of a volume that has failed meanwhile.
      if (!(slices instanceof DiskSlices) || slices.volume !== volume) return FAILED;
      const complete = slices.complete(entry.response.bodyLength);
      return done({ place: { kind: 'sliced', body: slices.number, worker: slices.worker, complete } });
    }
    if (entry.place?.kind === 'extent' && entry.volume === volume) return done({ place: entry.place });
    if (body === undefined) return FAILED;
    if (body.length <= this.#options.inlineBytes) return done({ place: { kind: 'inline' }, inline: body });
    const crc = crc32(body);
    const written = await volume.writing(() => volume.shared.append(name, body, crc));
    if (written.kind === 'refused') return written;
    const { extent, offset } = written.value;
    return done({ place: { kind: 'extent', extent: extent.number, worker: extent.worker, offset, crc }, extent });
  }

  /** What the entry has replaced gives its place back: the row under its name, and rows that vary otherwise. */
  async #freeReplaced(
    volume: Volume,
    shelf: KeyShelf,
    change: { head: FoundRow | undefined; before: FoundRow | undefined; entry: Entry },
  ): Promise<void> {
    const { head, before, entry } = change;
    if (head === undefined) return;
    this.#options.onChange(shelf.key);
    if (before?.row.kind === 'response') await free(volume, before.row, entry);
    if (head !== before && head.row.kind === 'response') await free(volume, head.row, entry);
    // Responses that vary otherwise than the newest are unreachable from now on (RFC 9111 §4.1).
    const varied = head.row.kind === 'vary' ? head.row.vary : [];
    if (!sameVary(varied, shelf.vary)) await this.removeAll(volume, shelf.hash, [shelf.hash, entry.rowKey!]);
  }

  async #remove(volume: Volume, name: Buffer, found: FoundRow): Promise<void> {
    await volume.changing(() => volume.index.removeRow(name));
    if (found.row.kind === 'response') await free(volume, found.row, undefined);
    this.#options.onChange(found.row.kind === 'vary' ? found.row.key : found.row.response.key);
  }
}

const FAILED: Written<never> = { kind: 'refused', why: 'volume-failed' };

/** A response with more fields or tags than a row can count is not stored. */
export function encoded(entry: Entry, place: Place, inline: Buffer | undefined): Buffer | undefined {
  try {
    return encodeResponse(entry.response, place, inline);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function done(value: Placed): Written<Placed> {
  return { kind: 'done', value };
}

/** Gives the place of a body back that no row names any more, unless its heir has the same. */
export async function free(volume: Volume, row: ResponseRow, heir: Entry | undefined): Promise<void> {
  const { place, response } = row;
  if (place.kind === 'sliced') {
    if (heir?.place?.kind === 'sliced' && heir.place.body === place.body) return;
    await volume.body(place.body, place.worker, heir?.rowKey ?? Buffer.alloc(0)).drop(response.bodyLength);
  } else if (place.kind === 'extent') {
    const kept = heir?.place;
    if (kept?.kind === 'extent' && kept.extent === place.extent && kept.offset === place.offset) return;
    const extent = volume.extents.owned.get(sharedName(place.extent, place.worker));
    if (extent === undefined) return;
    extent.deadBytes += response.bodyLength;
    if (extent.sealed && extent.busy === 0 && extent.deadBytes >= extent.bodyBytes)
      await volume.extents.unlink(extent.name);
  }
}

export function sameVary(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name, i) => name === b[i]);
}
