/**
 * What a disk's error means: a decision, and the words for it. A volume that is set aside is remembered in a marker
 * file on it, so that a restart does not trust it again until an operator has removed the marker.
 */
import { constants } from 'node:os';

export type DiskTrouble =
  /** Room may come back: by eviction, or when somebody else frees some. */
  | 'no-space'
  /** The disk, its file system or the index no longer does what it should. */
  | 'broken'
  /** Anything else, such as a process out of descriptors: this operation failed, and nothing is known of the disk. */
  | 'passing';

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

const NO_SPACE = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);
const SYSTEM_NAMES = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));
const BROKEN = new Set(
  'EIO EROFS ENODEV ENXIO EUCLEAN ESTALE ENOTCONN ENOENT ENOTDIR EACCES EPERM EREMOTEIO ESHUTDOWN'.split(' '),
);

/** What an error says about the volume. LMDB's errors carry the system's number as their code, and its words. */
export function troubleOf(error: unknown): DiskTrouble {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  const name = typeof code === 'number' ? SYSTEM_NAMES.get(code) : String(code);
  if (NO_SPACE.has(String(name)) || /MDB_MAP_FULL/.test(String(message))) return 'no-space';
  if (BROKEN.has(String(name)) || indexCorrupt(error)) return 'broken';
  return 'passing';
}
