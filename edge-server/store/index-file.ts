/**
 * Looks at LMDB's file before LMDB does: lmdb 3.5 ends the process (SIGSEGV, SIGBUS) on a file that is not its own
 * or is cut short, where it should answer with an error. Layout: lmdb.h, data version 2, 64-bit little endian.
 */
import { closeSync, fstatSync, openSync, readSync, writeSync } from 'node:fs';

const MAGIC = 0xbeefc0de;
const VERSION = 2;
/** Offsets within a meta page: a page header of 24 bytes stands before it. */
const AT = { magic: 24, version: 28, pageSize: 48, lastPage: 144, transaction: 152, end: 160 } as const;

export type IndexFile = 'absent' | 'sound' | 'lengthened' | 'short' | 'garbage';

/**
 * Whether LMDB may be let at the file. One cut short is lengthened with zeros, so that a read of what is missing is
 * an error of LMDB's and not of the memory map's; a reader only looks. Before the index is opened.
 */
export function examineIndexFile(path: string, purpose: 'look' | 'mend'): IndexFile {
  let file: number;
  try {
    file = openSync(path, purpose === 'mend' ? 'r+' : 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'absent';
    throw error;
  }
  try {
    const first = readMeta(file, 0);
    const second = first === undefined ? undefined : readMeta(file, first.pageSize);
    const { size } = fstatSync(file);
    if (size === 0) return 'absent';
    if (first === undefined || second === undefined || first.pageSize !== second.pageSize) return 'garbage';
    const newest = first.transaction > second.transaction ? first : second;
    const needed = (newest.lastPage + 1) * newest.pageSize;
    if (size >= needed) return 'sound';
    if (purpose === 'look') return 'short';
    // Pages are written before the meta page that names them, so that no writer of another process is overtaken here.
    writeSync(file, Buffer.alloc(1), 0, 1, needed - 1);
    return 'lengthened';
  } finally {
    closeSync(file);
  }
}

function readMeta(file: number, at: number) {
  const page = Buffer.alloc(AT.end);
  if (readSync(file, page, 0, page.length, at) < page.length) return undefined;
  if (page.readUInt32LE(AT.magic) !== MAGIC || page.readUInt32LE(AT.version) !== VERSION) return undefined;
  const pageSize = page.readUInt32LE(AT.pageSize);
  const lastPage = Number(page.readBigUInt64LE(AT.lastPage));
  const transaction = page.readBigUInt64LE(AT.transaction);
  if (pageSize < 512 || pageSize > 65_536 || (pageSize & (pageSize - 1)) !== 0 || lastPage > 2 ** 40) return undefined;
  return { pageSize, lastPage, transaction };
}
