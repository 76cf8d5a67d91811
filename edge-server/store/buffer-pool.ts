/** Buffers of one slice, used again: reading a body allocates nothing in the steady state. */
import { SLICE_BYTES } from './contract.ts';

export class BufferPool {
  readonly #free: Buffer[] = [];
  readonly #keep: number;

  /** `keep`: how many unused buffers it holds on to. */
  constructor(keep: number) {
    this.#keep = keep;
  }

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(SLICE_BYTES);
  }

  give(buffer: Buffer): void {
    if (this.#free.length < this.#keep) this.#free.push(buffer);
  }

  /** The function that gives a buffer back: once, however often it is called. */
  releaseOf(buffer: Buffer): () => void {
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.give(buffer);
    };
  }
}
