/**
 * What a disk's error means: a decision, and the words for it. A volume that is set aside is remembered in a marker
 * file on it, so that a restart does not trust it again until an operator has removed the marker.
 */

export type DiskTrouble =
  /** Room may come back: by eviction, or when somebody else frees some. */
  | 'no-space'
  /** This process is out of descriptors or memory: nothing is wrong with the disk. */
  | 'exhausted'
  /** The disk or its file system no longer does what it should. */
  | 'broken';

/** The marker's name in a volume's directory. */
export const MARKER = 'set-aside.json';

export interface Marker {
  /** For a person. */
  readonly because: string;
  /** `index`: LMDB found its own file corrupt; the disk as such works. */
  readonly fault: 'disk' | 'index';
  readonly at: string;
}

/** LMDB's words for an index that is not whole (mdb.c, `mdb_strerror`). */
export function indexCorrupt(error: unknown): boolean {
  return /MDB_(?:PAGE_NOTFOUND|CORRUPTED|PANIC|INVALID|VERSION_MISMATCH|BAD_\w+)|page \d+ not found/.test(
    String((error as Error | undefined)?.message ?? ''),
  );
}

const NO_SPACE = new Set(['ENOSPC', 'EDQUOT', 'EFBIG', 'MDB_MAP_FULL']);
const EXHAUSTED = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN', 'EBADF', 'EEXIST', 'EVANISHED', 'MDB_READERS_FULL']);

/** What an error's code says about the volume. */
export function diskTrouble(code: string, message = ''): DiskTrouble {
  if (NO_SPACE.has(code) || /no space left|MDB_MAP_FULL|quota/i.test(message)) return 'no-space';
  if (EXHAUSTED.has(code)) return 'exhausted';
  return 'broken';
}

/** Code and message of whatever was thrown; LMDB's errors carry a number and the system's words. */
export function troubleOf(error: unknown): DiskTrouble {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  const trouble = diskTrouble(String(code ?? 'unknown'), String(message ?? ''));
  const cause = (error as { commitError?: unknown } | undefined)?.commitError;
  return trouble === 'broken' && cause !== undefined && cause !== error ? troubleOf(cause) : trouble;
}
