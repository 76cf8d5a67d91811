/**
 * The objects of one bucket as files: a body under a name of its own, and a record beside it that names the body. The
 * record's rename is the commit point, so a PUT that is cut short leaves the old object, and a reader keeps the body
 * that it opened. Records are read once at start; the protocol is left to `server.ts`.
 */
import { createHash, randomUUID } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface ObjectRecord {
  readonly key: string;
  /** File name of the body. */
  readonly body: string;
  readonly bytes: number;
  /** Quoted MD5, as S3 makes it for a single PUT. */
  readonly etag: string;
  readonly sha256: string;
  readonly lastModifiedMillis: number;
  readonly contentType: string;
  /** `cache-control`, `content-encoding`, `content-disposition`, `content-language`, `x-amz-meta-*`. */
  readonly fields: Readonly<Record<string, string>>;
}

export interface NewObject {
  readonly key: string;
  readonly bytes: number;
  readonly contentType: string;
  readonly fields: Readonly<Record<string, string>>;
  /** Hex; refuses the body when it differs. */
  readonly expectedSha256: string | undefined;
}

export type PutOutcome = { ok: true; record: ObjectRecord } | { ok: false; reason: 'IncompleteBody' | 'BadDigest' };

export class Bucket {
  readonly #bodies: string;
  readonly #records: string;
  readonly #byKey = new Map<string, ObjectRecord>();
  #sorted: string[] | undefined;

  constructor(folder: string) {
    this.#bodies = join(folder, 'bodies');
    this.#records = join(folder, 'records');
  }

  /** Reads every record and removes bodies that no record names. */
  async open(): Promise<void> {
    await mkdir(this.#bodies, { recursive: true });
    await mkdir(this.#records, { recursive: true });
    const named = new Set<string>();
    for (const name of await readdir(this.#records)) {
      const path = join(this.#records, name);
      if (!name.endsWith('.json')) {
        await rm(path, { force: true });
        continue;
      }
      const record = JSON.parse(await readFile(path, 'utf8')) as ObjectRecord;
      this.#byKey.set(record.key, record);
      named.add(record.body);
    }
    for (const name of await readdir(this.#bodies)) if (!named.has(name)) await rm(join(this.#bodies, name));
  }

  get(key: string): ObjectRecord | undefined {
    return this.#byKey.get(key);
  }

  /** The body for reading; the caller closes it. */
  body(record: ObjectRecord): Promise<FileHandle> {
    return open(join(this.#bodies, record.body), 'r');
  }

  /** Stores a body from a stream of chunks, whole or not at all. */
  async put(object: NewObject, chunks: AsyncIterable<Buffer>, nowMillis: number): Promise<PutOutcome> {
    const body = randomUUID();
    const path = join(this.#bodies, body);
    const written = await writeBody(path, chunks);
    if (written.bytes !== object.bytes || (object.expectedSha256 ?? written.sha256) !== written.sha256) {
      await rm(path, { force: true });
      return { ok: false, reason: written.bytes === object.bytes ? 'BadDigest' : 'IncompleteBody' };
    }
    const { key, bytes, contentType, fields } = object;
    const lastModifiedMillis = Math.floor(nowMillis / 1000) * 1000;
    const { sha256, etag } = written;
    const record: ObjectRecord = { key, body, bytes, etag, sha256, lastModifiedMillis, contentType, fields };
    const file = join(this.#records, recordName(key));
    const temporary = `${file}.${body}`;
    await writeFile(temporary, JSON.stringify(record));
    await rename(temporary, file);
    const before = this.#byKey.get(key);
    this.#byKey.set(key, record);
    if (before === undefined) this.#sorted = undefined;
    else await rm(join(this.#bodies, before.body), { force: true });
    return { ok: true, record };
  }

  async delete(key: string): Promise<void> {
    const record = this.#byKey.get(key);
    if (record === undefined) return;
    this.#byKey.delete(key);
    this.#sorted = undefined;
    await rm(join(this.#records, recordName(key)), { force: true });
    await rm(join(this.#bodies, record.body), { force: true });
  }

  /** At most `most` records with the prefix, in key order, after a key. */
  list(prefix: string, after: string, most: number): { records: ObjectRecord[]; more: boolean } {
    this.#sorted ??= [...this.#byKey.keys()].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    const start = Buffer.from(after);
    const from = this.#sorted.findIndex((key) => Buffer.compare(Buffer.from(key), start) > 0);
    const keys = from < 0 ? [] : this.#sorted.slice(from).filter((key) => key.startsWith(prefix));
    return { records: keys.slice(0, most).map((key) => this.#byKey.get(key)!), more: keys.length > most };
  }
}

async function writeBody(path: string, chunks: AsyncIterable<Buffer>) {
  const md5 = createHash('md5');
  const sha256 = createHash('sha256');
  let bytes = 0;
  const file = await open(path, 'wx');
  try {
    for await (const chunk of chunks) {
      md5.update(chunk);
      sha256.update(chunk);
      bytes += chunk.length;
      await file.writeFile(chunk);
    }
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  } finally {
    await file.close();
  }
  return { bytes, etag: `"${md5.digest('hex')}"`, sha256: sha256.digest('hex') };
}

function recordName(key: string): string {
  return `${createHash('sha256').update(key).digest('hex')}.json`;
}
