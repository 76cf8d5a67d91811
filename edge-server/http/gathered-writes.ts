/** Small responses of pipelined requests, gathered so that they leave in one write. */
import type { Socket } from 'node:net';

const MOST_BYTES = 64 * 1024;

export class GatheredWrites {
  readonly #parts: Buffer[] = [];
  #bytes = 0;

  get empty(): boolean {
    return this.#bytes === 0;
  }

  get full(): boolean {
    return this.#bytes >= MOST_BYTES;
  }

  add(bytes: Buffer): void {
    this.#parts.push(bytes);
    this.#bytes += bytes.length;
  }

  send(socket: Socket): void {
    const parts = this.#parts;
    const bytes = parts.length === 1 ? parts[0]! : Buffer.concat(parts, this.#bytes);
    parts.length = 0;
    this.#bytes = 0;
    socket.write(bytes);
  }
}
