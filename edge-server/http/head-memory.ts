/**
 * The last request head of a connection: most clients repeat theirs byte for byte, and then nothing is parsed again.
 * The bytes are kept in a buffer of this connection's own that grows and is used again.
 */
import type { EdgeRequest } from './exchange.ts';

/** Heads longer than this are parsed each time. */
const LONGEST_BYTES = 4 * 1024;
const STEP_BYTES = 256;

export class HeadMemory {
  #bytes: Buffer = Buffer.alloc(0);
  #length = 0;
  request: EdgeRequest | undefined;
  keepAlive = true;

  /** Where the remembered head ends when `bytes[at, length)` begins with it, else -1. */
  match(bytes: Buffer, at: number, length: number): number {
    const end = at + this.#length;
    if (end === at || end > length) return -1;
    return bytes.compare(this.#bytes, 0, this.#length, at, end) === 0 ? end : -1;
  }

  remember(bytes: Buffer, from: number, to: number, request: EdgeRequest, keepAlive: boolean): void {
    const length = to - from;
    this.forget();
    if (length > LONGEST_BYTES) return;
    if (this.#bytes.length < length) this.#bytes = Buffer.allocUnsafeSlow(Math.ceil(length / STEP_BYTES) * STEP_BYTES);
    bytes.copy(this.#bytes, 0, from, to);
    this.#length = length;
    this.request = request;
    this.keepAlive = keepAlive;
  }

  forget(): void {
    this.#length = 0;
    this.request = undefined;
  }
}
