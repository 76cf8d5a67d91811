/** A large body where there is no disk: slices in the memory tier, each of which may be evicted on its own. */
import { SLICE_BYTES } from './contract.ts';

/** What it needs of the memory tier. */
export interface SliceMemory {
  slice(body: number, worker: number, slice: number): Buffer | undefined;
  hasSlice(body: number, worker: number, slice: number): boolean;
  setSlice(body: number, worker: number, slice: number, bytes: Buffer): void;
  deleteSlice(body: number, worker: number, slice: number): void;
}

export class MemorySlices {
  readonly number: number;
  readonly #memory: SliceMemory;
  readonly #written = new Set<number>();
  #dropped = false;

  constructor(memory: SliceMemory, number: number) {
    this.#memory = memory;
    this.number = number;
  }

  /** Memory has no victims to spare: a slice that leaves while its body is written ends the write. */
  beginWriting(): void {}

  endWriting(): void {}

  get dropped(): boolean {
    return this.#dropped;
  }

  has(slice: number): boolean {
    return this.#memory.hasSlice(this.number, 0, slice);
  }

  read(slice: number): Buffer | 'never-stored' | 'evicted' {
    const bytes = this.#memory.slice(this.number, 0, slice);
    if (bytes !== undefined) return bytes;
    return this.#written.has(slice) ? 'evicted' : 'never-stored';
  }

  complete(bodyLength: number): boolean {
    for (let slice = 0; slice * SLICE_BYTES < bodyLength; slice++) if (!this.has(slice)) return false;
    return true;
  }

  write(slice: number, bytes: Buffer): 'stored' | 'dropped' | 'no-space' {
    if (this.#dropped) return 'dropped';
    this.#written.add(slice);
    this.#memory.setSlice(this.number, 0, slice, bytes);
    return this.has(slice) ? 'stored' : 'no-space';
  }

  /** No response has these slices any more. A reader in the middle may go on: they leave as the least recently used. */
  drop(): void {
    this.#dropped = true;
  }
}
