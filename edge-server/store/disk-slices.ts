/**
 * A large body on a volume: slices in extents of its own, 64 to a file at fixed places, each present or not.
 * Bytes are written first, then the segment's row; a slice that no row names does not exist.
 * It leaves the response's row, and with it whether anybody can see the body, to the store.
 */
import { crc32 } from 'node:zlib';
import type { BufferPool } from './buffer-pool.ts';
import { SLICE_BYTES, type SliceRead } from './contract.ts';
import { blocks, type Extent, type Extents, largeName } from './extents.ts';
import { errorCode, type Files } from './files.ts';
import type { Numbers } from './numbers.ts';
import { SEGMENT_SLICES, Segment, segmentKey } from './segment.ts';
import type { VolumeIndex } from './volume-index.ts';

export type SliceWrite = 'stored' | 'dropped';

/** What it needs of its volume. */
export interface SlicesVolume {
  readonly index: VolumeIndex;
  readonly extents: Extents;
  readonly pool: BufferPool;
  readonly files: Files;
  readonly numbers: Numbers;
  readonly counts: { corruptSlices: number };
  /** Bodies that a writer works on. */
  readonly writingBodies: Set<DiskSlices>;
  look<T>(read: () => T): T | undefined;
  reading(read: () => Promise<'read' | 'absent'>): Promise<'read' | 'absent' | 'error'>;
  changing(change: () => Promise<unknown>): Promise<boolean>;
  writing<T>(write: () => Promise<T>): Promise<Written<T>>;
}

/** What became of a write on a volume. */
export type Written<T> =
  | { readonly kind: 'done'; readonly value: T }
  | { readonly kind: 'refused'; readonly why: 'no-space' | 'volume-failed' };

export class DiskSlices {
  readonly number: number;
  readonly worker: number;
  readonly rowKey: Buffer;
  readonly #volume: SlicesVolume;
  readonly #segments = new Map<number, Segment>();
  readonly #files = new Map<number, Promise<Extent>>();
  /** Writes whose row is on its way: until then memory knows more than the index. */
  #writing = 0;
  #writers = 0;
  /** Nothing may be written any more: evicted, replaced or abandoned. */
  #dropped = false;

  constructor(volume: SlicesVolume, identity: { number: number; worker: number; rowKey: Buffer }) {
    this.#volume = volume;
    this.number = identity.number;
    this.worker = identity.worker;
    this.rowKey = identity.rowKey;
  }

  get volume(): SlicesVolume {
    return this.#volume;
  }

  /** A writer works on it: its extents are no victims until as many have ended. */
  beginWriting(): void {
    this.#volume.writingBodies.add(this);
    this.#writers++;
  }

  endWriting(): void {
    this.#writers--;
    if (this.#writers === 0) this.#volume.writingBodies.delete(this);
  }

  get dropped(): boolean {
    return this.#dropped;
  }

  has(slice: number): boolean {
    return this.#segmentWith(slice)?.has(slice % SEGMENT_SLICES) === true;
  }

  /** Whether any slice of a body of this length is present. */
  any(bodyLength: number): boolean {
    for (let slice = 0; slice * SLICE_BYTES < bodyLength; slice++) if (this.has(slice)) return true;
    return false;
  }

  /** Whether every slice of a body of this length is present. */
  complete(bodyLength: number): boolean {
    for (let slice = 0; slice * SLICE_BYTES < bodyLength; slice++) if (!this.has(slice)) return false;
    return true;
  }

  /** Reads into a pooled buffer; the checksum is verified the first time this worker reads the slice. Never rejects. */
  async read(slice: number, bodyLength: number, purpose: 'client' | 'upkeep' = 'client'): Promise<SliceRead> {
    const segment = this.#segmentWith(slice);
    const slot = slice % SEGMENT_SLICES;
    if (segment?.has(slot) !== true) return { kind: 'absent', why: this.#dropped ? 'evicted' : 'never-stored' };
    const { extents, pool } = this.#volume;
    const name = this.#fileOf(slice);
    const buffer = pool.take();
    const bytes = buffer.subarray(0, Math.min(SLICE_BYTES, bodyLength - slice * SLICE_BYTES));
    const found = await this.#volume.reading(() => extents.read(name, bytes, slot * SLICE_BYTES, purpose));
    const verified = extents.verified(name, slot);
    if (found === 'read' && (verified || crc32(bytes) === segment.crc(slot))) {
      if (!verified) extents.markVerified(name, slot);
      return { kind: 'bytes', bytes, release: pool.releaseOf(buffer) };
    }
    pool.give(buffer);
    if (found === 'error') return { kind: 'absent', why: 'read-error' };
    if (found === 'read') this.#volume.counts.corruptSlices++;
    await this.#forget(slice);
    return { kind: 'absent', why: found === 'read' ? 'corrupt' : 'evicted' };
  }

  /** Writes one slice and its row. Rejects with the disk's error. */
  async write(slice: number, bytes: Buffer): Promise<SliceWrite> {
    if (this.#dropped) return 'dropped';
    const slot = slice % SEGMENT_SLICES;
    const crc = crc32(bytes);
    const extent = await this.#file(slice);
    extent.busy++;
    this.#writing++;
    try {
      await this.#volume.extents.write(extent.name, [bytes], slot * SLICE_BYTES);
      const segment = this.#segmentWith(slice) ?? this.#newSegment(slice);
      if (!segment.has(slot)) {
        this.#volume.extents.resize(extent, extent.diskBytes + blocks(bytes.length));
        extent.bodyBytes += bytes.length;
      }
      if (this.#dropped) return 'dropped';
      segment.set(slot, crc);
      await this.#putSegment(slice, segment);
      return this.#dropped ? 'dropped' : 'stored';
    } finally {
      extent.busy--;
      this.#writing--;
      if (this.#dropped) await this.#volume.extents.unlink(extent.name);
    }
  }

  /** Takes every slice away, rows first. Nobody may see the response any more when it is called. Never rejects. */
  async drop(bodyLength: number): Promise<void> {
    this.#dropped = true;
    const last = Math.max(-1, ...this.#segments.keys(), ...this.#files.keys());
    const count = Math.max(last + 1, Math.ceil(bodyLength / (SLICE_BYTES * SEGMENT_SLICES)));
    // What is known of the segments stays: a reader in the middle gets the rest while the descriptors linger.
    for (let segment = 0; segment < count; segment++) await this.#takeAway(segment);
  }

  /** Takes the 64 slices of one extent away. Never rejects. */
  async dropSegment(segment: number): Promise<void> {
    this.#segments.delete(segment);
    await this.#takeAway(segment);
    this.#segments.delete(segment);
  }

  async #takeAway(segment: number): Promise<void> {
    this.#files.delete(segment);
    await this.#volume.changing(() => this.#volume.index.removeSegment(segmentKey(this.number, this.worker, segment)));
    await this.#volume.extents.unlink(largeName(this.number, segment, this.worker));
  }

  /** Another worker has changed the body: what is known of it is read again. */
  refresh(): void {
    for (const segment of this.#segments.keys())
      this.#volume.extents.forgetVerified(largeName(this.number, segment, this.worker));
    this.#segments.clear();
  }

  /** Checks every present slice against its checksum, through the disk. Returns the bytes read and how many were bad. */
  async verify(bodyLength: number, pace: (bytes: number) => Promise<void>): Promise<{ bytes: number; bad: number }> {
    let bytes = 0;
    let bad = 0;
    for (let slice = 0; slice * SLICE_BYTES < bodyLength && !this.#dropped; slice++) {
      if (!this.has(slice)) continue;
      this.#volume.extents.forgetVerified(this.#fileOf(slice));
      const read = await this.read(slice, bodyLength, 'upkeep');
      if (read.kind === 'absent') {
        if (read.why === 'corrupt') bad++;
        continue;
      }
      bytes += read.bytes.length;
      const length = read.bytes.length;
      read.release();
      await pace(length);
    }
    return { bytes, bad };
  }

  #fileOf(slice: number): string {
    return largeName(this.number, Math.floor(slice / SEGMENT_SLICES), this.worker);
  }

  /** The segment that has the slice or would; read from the index again when somebody else may have added to it. */
  #segmentWith(slice: number): Segment | undefined {
    const number = Math.floor(slice / SEGMENT_SLICES);
    const known = this.#segments.get(number);
    if (known !== undefined && (this.#writing > 0 || known.has(slice % SEGMENT_SLICES))) return known;
    if (this.#dropped) return undefined;
    const row = this.#volume.look(() => this.#volume.index.segment(segmentKey(this.number, this.worker, number)));
    const found = row === undefined ? undefined : Segment.decode(row);
    if (found !== undefined) this.#segments.set(number, found);
    return found;
  }

  #newSegment(slice: number): Segment {
    const segment = new Segment(this.rowKey);
    this.#segments.set(Math.floor(slice / SEGMENT_SLICES), segment);
    return segment;
  }

  async #putSegment(slice: number, segment: Segment): Promise<void> {
    const number = Math.floor(slice / SEGMENT_SLICES);
    const key = segmentKey(this.number, this.worker, number);
    await this.#volume.index.putSegment(key, segment.encode(), this.#volume.numbers.next());
  }

  /** A slice that turned out bad or gone: its place counts as empty from here on. */
  async #forget(slice: number): Promise<void> {
    const segment = this.#segmentWith(slice);
    if (segment === undefined || this.#dropped) return;
    segment.clear(slice % SEGMENT_SLICES);
    await this.#volume.changing(() => this.#putSegment(slice, segment));
  }

  /** The extent file of a slice, made at its first write, opened again when a body is resumed. */
  #file(slice: number): Promise<Extent> {
    const segment = Math.floor(slice / SEGMENT_SLICES);
    let file = this.#files.get(segment);
    if (file === undefined) {
      file = this.#openFile(segment);
      this.#files.set(segment, file);
      file.catch(() => this.#files.delete(segment));
    }
    return file;
  }

  async #openFile(segment: number): Promise<Extent> {
    const { extents, files } = this.#volume;
    const name = largeName(this.number, segment, this.worker);
    const known = extents.owned.get(name);
    if (known !== undefined) return known;
    const identity = { name, kind: 'large' as const, worker: this.worker, number: this.number, segment };
    try {
      return await extents.create(identity);
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') throw error;
      return extents.adopt(identity, (await files.size(extents.path(name))).diskBytes);
    }
  }
}
