/**
 * A worker's open shared extent: bodies of up to a slice are appended, many to a file. What comes while a write is
 * under way goes out together in the next one (`writev`). Each body stands behind a record head that names its row
 * in the index, so that an extent can be walked when it is to be dropped.
 */
import { crc32 } from 'node:zlib';
import { blocks, type Extent, type Extents, sharedName } from './extents.ts';
import type { Numbers } from './numbers.ts';

/** magic 4, body length 4, body crc 4, key length 4, key 24, crc of the head 4, and 4 unused. */
export const RECORD_HEAD_BYTES = 48;
const MAGIC = 0x4e435831;
/** Bytes in one write at most: more gains nothing, and a failed write costs less. */
const BATCH_BYTES = 8 << 20;

export interface Appended {
  readonly extent: Extent;
  /** Where the body starts. */
  readonly offset: number;
}

interface Queued {
  readonly head: Buffer;
  readonly body: Buffer;
  readonly done: (appended: Appended) => void;
  readonly failed: (error: unknown) => void;
}

export interface RecordHead {
  readonly rowKey: Buffer;
  readonly bodyLength: number;
  readonly crc: number;
}

export class SharedExtent {
  readonly #extents: Extents;
  readonly #numbers: Numbers;
  readonly #worker: number;
  readonly #extentBytes: number;
  #queue: Queued[] = [];
  #current: Extent | undefined;
  #length = 0;
  #running: Promise<void> | undefined;
  /** Bytes that wait to be written. */
  queuedBytes = 0;

  constructor(options: { extents: Extents; numbers: Numbers; worker: number; extentBytes: number }) {
    this.#extents = options.extents;
    this.#numbers = options.numbers;
    this.#worker = options.worker;
    this.#extentBytes = options.extentBytes;
  }

  /**
   * Appends a body; its extent is `busy` until the caller has indexed it and says so (`extent.busy--`).
   * Rejects with the disk's error; what was written of it then is dead space.
   */
  append(rowKey: Buffer, body: Buffer, crc: number): Promise<Appended> {
    return new Promise((done, failed) => {
      this.#queue.push({ head: encodeRecordHead({ rowKey, bodyLength: body.length, crc }), body, done, failed });
      this.queuedBytes += body.length;
      this.#running ??= this.#run();
    });
  }

  /** Waits until what was queued has been written, or has failed. */
  async drained(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async #run(): Promise<void> {
    // Lets the rest of this turn of the event loop join the first write.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#queue.length > 0) await this.#writeBatch(this.#nextBatch());
    this.#running = undefined;
  }

  #nextBatch(): Queued[] {
    let bytes = 0;
    let count = 0;
    while (count < this.#queue.length && bytes < BATCH_BYTES)
      bytes += RECORD_HEAD_BYTES + this.#queue[count++]!.body.length;
    return this.#queue.splice(0, count);
  }

  async #writeBatch(batch: Queued[]): Promise<void> {
    try {
      this.#current ??= await this.#create();
      const extent = this.#current;
      const start = this.#length;
      await this.#extents.write(
        extent.name,
        batch.flatMap(({ head, body }) => [head, body]),
        start,
      );
      for (const one of batch) {
        const offset = this.#length + RECORD_HEAD_BYTES;
        this.#length = offset + one.body.length;
        extent.bodyBytes += one.body.length;
        extent.busy++;
        one.done({ extent, offset });
      }
      this.#extents.resize(extent, blocks(this.#length));
      if (this.#length >= this.#extentBytes) this.#seal();
    } catch (error) {
      await this.#giveUp();
      for (const one of batch) one.failed(error);
    }
    for (const one of batch) this.queuedBytes -= one.body.length;
  }

  async #create(): Promise<Extent> {
    const number = this.#numbers.next();
    const name = sharedName(number, this.#worker);
    const extent = await this.#extents.create({ name, kind: 'shared', worker: this.#worker, number, segment: 0 });
    extent.sealed = false;
    this.#length = 0;
    return extent;
  }

  #seal(): void {
    if (this.#current !== undefined) this.#current.sealed = true;
    this.#current = undefined;
  }

  /** After a failed write: cuts what came of it off, and goes on in another file. */
  async #giveUp(): Promise<void> {
    const extent = this.#current;
    this.#seal();
    if (extent === undefined) return;
    if (extent.bodyBytes === 0) return this.#extents.unlink(extent.name);
    // Fails where the disk has failed altogether; the tail is then counted for less than it takes until the next start.
    await this.#extents.truncate(extent.name, this.#length).catch(() => undefined);
  }
}

export function encodeRecordHead(head: RecordHead): Buffer {
  const bytes = Buffer.alloc(RECORD_HEAD_BYTES);
  bytes.writeUInt32LE(MAGIC, 0);
  bytes.writeUInt32LE(head.bodyLength, 4);
  bytes.writeUInt32LE(head.crc, 8);
  bytes.writeUInt32LE(head.rowKey.length, 12);
  head.rowKey.copy(bytes, 16);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 40)), 40);
  return bytes;
}

/** A record head, or `undefined` for bytes that are none: the end of what was written whole. */
export function decodeRecordHead(bytes: Buffer): RecordHead | undefined {
  if (bytes.length < RECORD_HEAD_BYTES || bytes.readUInt32LE(0) !== MAGIC) return undefined;
  if (bytes.readUInt32LE(40) !== crc32(bytes.subarray(0, 40))) return undefined;
  const keyLength = bytes.readUInt32LE(12);
  if (keyLength > 24) return undefined;
  return {
    rowKey: Buffer.from(bytes.subarray(16, 16 + keyLength)),
    bodyLength: bytes.readUInt32LE(4),
    crc: bytes.readUInt32LE(8),
  };
}
