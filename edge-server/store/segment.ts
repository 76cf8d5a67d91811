/**
 * Which slices of one large extent are present, with their checksums: the index's second kind of row. Pure.
 * A segment is the 64 slices of one extent file.
 */
import { crc32 } from 'node:zlib';

export const SEGMENT_SLICES = 64;
const HEAD_BYTES = 4 + 8 + 1 + 24;
const ROW_BYTES = HEAD_BYTES + SEGMENT_SLICES * 4;

export class Segment {
  /** The row of the response that the body belongs to. */
  readonly rowKey: Buffer;
  readonly #present: Uint8Array;
  readonly #crcs: Uint32Array;

  constructor(rowKey: Buffer, present = new Uint8Array(8), crcs = new Uint32Array(SEGMENT_SLICES)) {
    this.rowKey = rowKey;
    this.#present = present;
    this.#crcs = crcs;
  }

  /** Slots count from 0 to 63 within the segment. */
  has(slot: number): boolean {
    return (this.#present[slot >> 3]! & (1 << (slot & 7))) !== 0;
  }

  crc(slot: number): number {
    return this.#crcs[slot]!;
  }

  set(slot: number, crc: number): void {
    this.#present[slot >> 3]! |= 1 << (slot & 7);
    this.#crcs[slot] = crc;
  }

  clear(slot: number): void {
    this.#present[slot >> 3]! &= ~(1 << (slot & 7));
  }

  get count(): number {
    let count = 0;
    for (let slot = 0; slot < SEGMENT_SLICES; slot++) if (this.has(slot)) count++;
    return count;
  }

  encode(): Buffer {
    const row = Buffer.alloc(ROW_BYTES);
    row.set(this.#present, 4);
    row[12] = this.rowKey.length;
    this.rowKey.copy(row, 13);
    for (let slot = 0; slot < SEGMENT_SLICES; slot++) row.writeUInt32LE(this.#crcs[slot]!, HEAD_BYTES + slot * 4);
    row.writeUInt32LE(crc32(row.subarray(4)), 0);
    return row;
  }

  /** A segment from its row, or `undefined` for bytes that are none. */
  static decode(row: Buffer): Segment | undefined {
    if (row.length !== ROW_BYTES || row.readUInt32LE(0) !== crc32(row.subarray(4))) return undefined;
    const keyLength = row[12]!;
    if (keyLength > 24) return undefined;
    const crcs = new Uint32Array(SEGMENT_SLICES);
    for (let slot = 0; slot < SEGMENT_SLICES; slot++) crcs[slot] = row.readUInt32LE(HEAD_BYTES + slot * 4);
    return new Segment(Buffer.from(row.subarray(13, 13 + keyLength)), Uint8Array.from(row.subarray(4, 12)), crcs);
  }
}

/** The index key of a segment: its body's number, the worker that wrote it, and which 64 slices. */
export function segmentKey(body: number, worker: number, segment: number): Buffer {
  const key = Buffer.allocUnsafe(14);
  key.writeDoubleBE(body, 0);
  key.writeUInt16BE(worker, 8);
  key.writeUInt32BE(segment, 10);
  return key;
}
