/**
 * A folder's files into a bucket: what is new or changed goes up, streamed and with its SHA-256; what is gone is
 * deleted. A note in the state folder (size, time, digest and ETag of each file) spares hashing what did not change.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  DeleteObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { contentType } from '../origin/media-kind.ts';
import { objectKey, pathOfKey } from '../origin/object-key.ts';
import { EXIT, Fault } from '../runtime/errors.ts';

export interface ContentTarget {
  readonly endpoint: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface ContentChange {
  readonly files: number;
  readonly uploaded: readonly string[];
  readonly deleted: readonly string[];
}

interface SourceFile {
  readonly key: string;
  readonly path: string;
  readonly bytes: number;
  readonly modifiedMillis: number;
}

interface Note {
  readonly bytes: number;
  readonly modifiedMillis: number;
  readonly sha256: string;
  readonly etag: string;
}

/** Brings the bucket to hold exactly the files below the folders; later folders win. `noteFile` is kept between runs. */
export async function uploadContent(
  folders: readonly string[],
  target: ContentTarget,
  noteFile: string,
): Promise<ContentChange> {
  const files = new Map<string, SourceFile>();
  for (const folder of folders) for (const file of await sourceFiles(folder)) files.set(file.key, file);
  const client = new S3Client({
    endpoint: target.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    credentials: { accessKeyId: target.accessKeyId, secretAccessKey: target.secretAccessKey },
  });
  try {
    const stored = await storedEtags(client, target.bucket);
    const before = await readNotes(noteFile);
    const notes: Record<string, Note> = {};
    const uploaded: string[] = [];
    for (const file of files.values()) {
      const known = before[file.key];
      if (known !== undefined && isUnchanged(known, file) && stored.get(file.key) === known.etag) {
        notes[file.key] = known;
        continue;
      }
      const sha256 = await digest(file.path);
      let etag = stored.get(file.key);
      if (etag === undefined || !(await holds(client, target.bucket, file, sha256))) {
        etag = await put(client, target.bucket, file, sha256);
        uploaded.push(file.key);
      }
      notes[file.key] = { bytes: file.bytes, modifiedMillis: file.modifiedMillis, sha256, etag };
    }
    const deleted = [...stored.keys()].filter((key) => !files.has(key));
    for (const Key of deleted) await client.send(new DeleteObjectCommand({ Bucket: target.bucket, Key }));
    await writeFile(`${noteFile}.new`, JSON.stringify(notes));
    await rename(`${noteFile}.new`, noteFile);
    return { files: files.size, uploaded, deleted };
  } finally {
    client.destroy();
  }
}

/** Regular files below a folder, without those whose name begins with a dot. Throws a `Fault` when it can't be read. */
export async function sourceFiles(folder: string): Promise<SourceFile[]> {
  const found: SourceFile[] = [];
  const walk = async (path: string, prefix: string): Promise<void> => {
    for (const entry of await readdir(path, { withFileTypes: true })) {
      if (entry.name.startsWith('.')) continue;
      const key = `${prefix}${entry.name}`;
      const below = join(path, entry.name);
      if (entry.isDirectory()) await walk(below, `${key}/`);
      else if ((entry.isFile() || entry.isSymbolicLink()) && objectKey(pathOfKey(key)).ok) {
        const status = await stat(below);
        if (status.isFile())
          found.push({ key, path: below, bytes: status.size, modifiedMillis: Math.floor(status.mtimeMs) });
      }
    }
  };
  try {
    await walk(folder, '');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new Fault('content-unreadable', `${(error as NodeJS.ErrnoException).path ?? folder}: ${code}`, {
      source: 'operator',
      fix: 'give --content a folder whose files this user may read',
      exit: code === 'ENOENT' ? EXIT.notFound : EXIT.failed,
      cause: error,
    });
  }
  return found;
}

async function storedEtags(client: S3Client, bucket: string): Promise<Map<string, string>> {
  const etags = new Map<string, string>();
  let token: string | undefined;
  do {
    const page = await client.send(
      new ListObjectsV2Command({ Bucket: bucket, ContinuationToken: token, EncodingType: 'url' }),
    );
    for (const { Key = '', ETag = '' } of page.Contents ?? [])
      etags.set(page.EncodingType === 'url' ? decodeURIComponent(Key.replaceAll('+', ' ')) : Key, ETag);
    token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
  } while (token !== undefined);
  return etags;
}

/** Whether the bucket has this very body under the key. */
async function holds(client: S3Client, bucket: string, file: SourceFile, sha256: string): Promise<boolean> {
  const head = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: file.key }));
  return head.ContentLength === file.bytes && head.Metadata?.sha256 === sha256;
}

async function put(client: S3Client, bucket: string, file: SourceFile, sha256: string): Promise<string> {
  const output = await client.send(
    new PutObjectCommand({
      Bucket: bucket,
      Key: file.key,
      Body: file.bytes === 0 ? Buffer.alloc(0) : createReadStream(file.path, { highWaterMark: 256 * 1024 }),
      ContentLength: file.bytes,
      ContentType: contentType(file.key, undefined),
      ChecksumSHA256: Buffer.from(sha256, 'hex').toString('base64'),
      Metadata: { sha256 },
    }),
  );
  return output.ETag ?? '';
}

async function digest(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024 })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

function isUnchanged(note: Note, file: SourceFile): boolean {
  return note.bytes === file.bytes && note.modifiedMillis === file.modifiedMillis;
}

async function readNotes(file: string): Promise<Record<string, Note>> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Record<string, Note>;
  } catch {
    return {}; // None yet, or cut by a power loss: every file is hashed again, nothing else is lost.
  }
}
