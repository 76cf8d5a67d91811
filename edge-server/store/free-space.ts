/**
 * Keeps a reserve free on a volume's file system: LMDB corrupts its own memory when a large commit meets a full disk
 * (mdb_page_spill, seen with 3.5.6), so writes are refused before that, whoever fills the disk.
 */
import type { Files } from './files.ts';

const MIB = 1 << 20;
/** Looked at again after so many writes: as many bodies as fit the reserve with room to spare. */
const WRITES = 32;

export class FreeSpace {
  readonly #files: Files;
  readonly #path: string;
  /** Writes until the next look. */
  #left = 0;
  #full = false;
  #looking: Promise<void> | undefined;

  constructor(files: Files, path: string) {
    this.#files = files;
    this.#path = path;
  }

  /** Whether the reserve is touched. Counts as so many writes; looks at the file system at the first, then now and then. */
  async full(writes = 1): Promise<boolean> {
    this.#left -= writes;
    if (this.#left < 0 || this.#full) {
      this.#left = WRITES;
      await this.look();
    }
    return this.#full;
  }

  /** Looks now; one look at a time. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  async #look(): Promise<void> {
    try {
      const { freeBytes, totalBytes } = await this.#files.space(this.#path);
      this.#full = freeBytes < Math.max(MIB, Math.min(64 * MIB, totalBytes / 16));
    } catch {
      // A file system that does not answer is judged by the write that follows.
      this.#full = false;
    }
  }
}
