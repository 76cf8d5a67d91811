/**
 * What is stored on volumes, for `nearcast cache ls` and `nearcast cache verify`: read-only, beside a running edge or
 * on a stopped one. Rows come in the order of their keys' hashes; what changes meanwhile may be seen or not.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { Fault } from '../../runtime/errors.ts';
import type { StoredResponse } from '../cache/stored-response.ts';
import { SLICE_BYTES } from './contract.ts';
import { largeName, sharedName } from './extents.ts';
import { type Files, type OpenFile, systemFiles } from './files.ts';
import { examineIndexFile } from './index-file.ts';
import { decodeRow, type ResponseRow } from './row.ts';
import { SEGMENT_SLICES, Segment, segmentKey } from './segment.ts';
import { VolumeIndex } from './volume-index.ts';

export interface ListedResponse {
  readonly volume: string;
  readonly response: StoredResponse;
  readonly place: 'inline' | 'extent' | 'sliced';
  /** Bytes of the body that are stored. */
  readonly storedBytes: number;
  readonly complete: boolean;
}

export interface Verified extends ListedResponse {
  /** Pieces that are not what they were, or not there although the index says so. */
  readonly bad: number;
}

interface Listed extends ListedResponse {
  readonly row: ResponseRow;
  readonly segments: Segment[];
}

const STEP_ROWS = 256;

/** Every stored response of the given volumes. Throws a `Fault` for a directory that is no volume. */
export async function* listStored(directories: readonly string[]): AsyncGenerator<ListedResponse> {
  for await (const { row: _row, segments: _segments, ...listed } of listRows(directories)) yield listed;
}

/** Every stored response with its bytes compared with their checksums. */
export async function* verifyStored(
  directories: readonly string[],
  files: Files = systemFiles,
): AsyncGenerator<Verified> {
  const reader = new Reader(files);
  try {
    for await (const { row, segments, ...listed } of listRows(directories))
      yield { ...listed, bad: await reader.badPieces(listed.volume, row, segments) };
  } finally {
    await reader.close();
  }
}

async function* listRows(directories: readonly string[]): AsyncGenerator<Listed> {
  for (const volume of directories) {
    const index = openReadOnly(volume);
    try {
      let hand: Buffer = Buffer.alloc(1);
      for (;;) {
        const rows = index.rowsFrom(hand, STEP_ROWS);
        for (const { row } of rows) {
          const decoded = decodeRow(row);
          if (decoded?.kind === 'response') yield listed(volume, decoded, segmentsOf(index, decoded));
        }
        const last = rows.at(-1);
        if (last === undefined || rows.length < STEP_ROWS) break;
        hand = Buffer.concat([last.key, Buffer.alloc(1)]);
        await new Promise(setImmediate);
      }
    } finally {
      await index.close();
    }
  }
}

function openReadOnly(volume: string): VolumeIndex {
  const file = join(volume, 'index', 'data.mdb');
  if (!existsSync(file) || examineIndexFile(file, 'look') !== 'sound')
    throw new Fault('no-volume', `${volume} holds no index of an edge`, {
      source: 'operator',
      fix: 'name a directory that an edge has stored to (--cache-dir)',
    });
  return new VolumeIndex(volume, true);
}

function segmentsOf(index: VolumeIndex, { place, response }: ResponseRow): Segment[] {
  if (place.kind !== 'sliced') return [];
  const count = Math.ceil(response.bodyLength / (SLICE_BYTES * SEGMENT_SLICES));
  return Array.from({ length: count }, (_, segment) => {
    const row = index.segment(segmentKey(place.body, place.worker, segment));
    return (row === undefined ? undefined : Segment.decode(row)) ?? new Segment(Buffer.alloc(0));
  });
}

function listed(volume: string, row: ResponseRow, segments: Segment[]): Listed {
  const { response, place } = row;
  let storedBytes = place.kind === 'sliced' ? 0 : response.bodyLength;
  for (const { slice } of present(row, segments)) storedBytes += lengthOf(response, slice);
  const complete = storedBytes === response.bodyLength;
  return { volume, response, place: place.kind, storedBytes, complete, row, segments };
}

function* present({ response }: ResponseRow, segments: readonly Segment[]): Generator<{ slice: number; crc: number }> {
  for (let slice = 0; slice * SLICE_BYTES < response.bodyLength; slice++) {
    const segment = segments[Math.floor(slice / SEGMENT_SLICES)];
    const slot = slice % SEGMENT_SLICES;
    if (segment?.has(slot) === true) yield { slice, crc: segment.crc(slot) };
  }
}

function lengthOf(response: StoredResponse, slice: number): number {
  return Math.min(SLICE_BYTES, response.bodyLength - slice * SLICE_BYTES);
}

/** Reads pieces of extents, the last file kept open: neighbours in the index rarely share one, slices of a body do. */
class Reader {
  readonly #files: Files;
  readonly #buffer = Buffer.allocUnsafeSlow(SLICE_BYTES);
  #open: { path: string; file: OpenFile } | undefined;

  constructor(files: Files) {
    this.#files = files;
  }

  async badPieces(volume: string, row: ResponseRow, segments: readonly Segment[]): Promise<number> {
    const { place, response } = row;
    const path = (name: string) => join(volume, 'extents', name);
    if (place.kind === 'inline') return 0;
    if (place.kind === 'extent') {
      const at = { path: path(sharedName(place.extent, place.worker)), offset: place.offset };
      return (await this.#right(at, response.bodyLength, place.crc)) ? 0 : 1;
    }
    let bad = 0;
    for (const { slice, crc } of present(row, segments)) {
      const name = largeName(place.body, Math.floor(slice / SEGMENT_SLICES), place.worker);
      const at = { path: path(name), offset: (slice % SEGMENT_SLICES) * SLICE_BYTES };
      if (!(await this.#right(at, lengthOf(response, slice), crc))) bad++;
    }
    return bad;
  }

  async close(): Promise<void> {
    const open = this.#open;
    this.#open = undefined;
    await open?.file.close();
  }

  async #right(at: { path: string; offset: number }, length: number, crc: number): Promise<boolean> {
    try {
      if (this.#open?.path !== at.path) {
        await this.close();
        this.#open = { path: at.path, file: await this.#files.open(at.path, 'read') };
      }
      const bytes = this.#buffer.subarray(0, length);
      return (await this.#open.file.read(bytes, at.offset)) === length && crc32(bytes) === crc;
    } catch {
      // A file that can't be read holds nothing that could be served.
      return false;
    }
  }
}
