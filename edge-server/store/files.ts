/**
 * The few file operations that the disk tier makes, as one small interface, so that a test can fail the n-th write.
 * Nothing here decides anything: callers turn the errors into outcomes. No call is synchronous.
 */
import * as fs from 'node:fs';
import { mkdir, readdir, readFile, rm, stat, statfs, unlink, writeFile } from 'node:fs/promises';

export interface Files {
  /** Opens for reading and writing; `create` fails with EEXIST when there is one already. */
  open(path: string, mode: 'read' | 'write' | 'create'): Promise<OpenFile>;
  /** Names in a directory; empty when it does not exist. */
  list(directory: string): Promise<string[]>;
  /** Bytes that a file takes on its disk, as `du` counts them, and its length. */
  size(path: string): Promise<{ lengthBytes: number; diskBytes: number }>;
  /** Bytes that may still be written to the file system, and its size. */
  space(path: string): Promise<{ freeBytes: number; totalBytes: number }>;
  unlink(path: string): Promise<void>;
  makeDirectory(path: string): Promise<void>;
  removeDirectory(path: string): Promise<void>;
  readText(path: string): Promise<string | undefined>;
  writeText(path: string, text: string): Promise<void>;
}

export interface OpenFile {
  /** Reads up to the buffer's length at `position`; fewer bytes only at the end of the file. */
  read(into: Buffer, position: number): Promise<number>;
  /** Writes everything, or rejects; what was written before an error stays in the file. */
  write(pieces: Buffer[], position: number): Promise<void>;
  truncate(length: number): Promise<void>;
  close(): Promise<void>;
}

const FLAGS = { read: 'r', write: 'r+', create: 'wx+' } as const;

/** The real ones. Plain descriptors rather than `FileHandle`, whose reads cost twice as much. */
export const systemFiles: Files = {
  async open(path, mode) {
    const handle = await promised<number>((done) => fs.open(path, FLAGS[mode], 0o640, done));
    return new Descriptor(handle);
  },
  async list(directory) {
    try {
      return await readdir(directory);
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return [];
      throw error;
    }
  },
  async size(path) {
    const found = await stat(path);
    return { lengthBytes: found.size, diskBytes: found.blocks * 512 };
  },
  async space(path) {
    const found = await statfs(path);
    return { freeBytes: found.bavail * found.bsize, totalBytes: found.blocks * found.bsize };
  },
  unlink,
  async makeDirectory(path) {
    await mkdir(path, { recursive: true });
  },
  removeDirectory: (path) => rm(path, { recursive: true, force: true }),
  async readText(path) {
    try {
      return await readFile(path, 'utf8');
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  },
  writeText: (path, text) => writeFile(path, text, { mode: 0o640 }),
};

class Descriptor implements OpenFile {
  readonly #number: number;
  #closed = false;

  constructor(number: number) {
    this.#number = number;
  }

  async read(into: Buffer, position: number): Promise<number> {
    let done = 0;
    while (done < into.length) {
      const got = await promised<number>((callback) =>
        fs.read(this.#number, into, done, into.length - done, position + done, callback),
      );
      if (got === 0) break;
      done += got;
    }
    return done;
  }

  async write(pieces: Buffer[], position: number): Promise<void> {
    let left = pieces;
    let at = position;
    while (left.length > 0) {
      // 1,024 is the kernel's limit (IOV_MAX) for one call.
      const batch = left.length > 1024 ? left.slice(0, 1024) : left;
      const written = await promised<number>((callback) => fs.writev(this.#number, batch, at, callback));
      if (written === 0) throw Object.assign(new Error('a write made no progress'), { code: 'EIO' });
      at += written;
      left = remaining(left, written);
    }
  }

  truncate(length: number): Promise<void> {
    return promised((callback) => fs.ftruncate(this.#number, length, (error) => callback(error, undefined)));
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await promised((callback) => fs.close(this.#number, (error) => callback(error ?? null, undefined)));
  }
}

/** What is left of `pieces` after the first `written` bytes. */
function remaining(pieces: Buffer[], written: number): Buffer[] {
  let skip = written;
  let first = 0;
  while (first < pieces.length && skip >= pieces[first]!.length) skip -= pieces[first++]!.length;
  const rest = pieces.slice(first);
  if (skip > 0) rest[0] = rest[0]!.subarray(skip);
  return rest;
}

function promised<T>(call: (done: (error: Error | null, value: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) =>
    call((error, value) => {
      if (error === null || error === undefined) resolve(value);
      else reject(error);
    }),
  );
}

/** The system's code of an error (`ENOSPC`), or `unknown`. */
export function errorCode(error: unknown): string {
  return (error as NodeJS.ErrnoException | undefined)?.code?.toString() ?? 'unknown';
}
