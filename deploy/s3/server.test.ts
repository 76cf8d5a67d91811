import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  type S3ClientConfig,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { S3Server } from './server.ts';

const KEYS = { accessKey: 'AKIATEST', secretKey: 'secret' };
const Bucket = 'films';
let folder: string;
let server: S3Server;
let port: number;
let client: S3Client;

const connect = (more: Partial<S3ClientConfig> = {}) =>
  new S3Client({
    endpoint: `http://127.0.0.1:${port}`,
    region: 'us-east-1',
    forcePathStyle: true,
    maxAttempts: 1,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    credentials: { accessKeyId: KEYS.accessKey, secretAccessKey: KEYS.secretKey },
    ...more,
  });
const put = (Key: string, Body: Buffer, more = {}) => client.send(new PutObjectCommand({ Bucket, Key, Body, ...more }));
const body = async (Key: string, more = {}) =>
  Buffer.from(await (await client.send(new GetObjectCommand({ Bucket, Key, ...more }))).Body!.transformToByteArray());

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nearcast-s3-'));
  server = new S3Server({ folder, bucket: Bucket, credentials: KEYS });
  port = await server.start({ host: '127.0.0.1', port: 0 });
  client = connect();
});
afterAll(async () => {
  client?.destroy();
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

describe('objects', () => {
  test('any key and any metadata comes back as it was put', async () => {
    const bytes = randomBytes(300_000);
    for (const Key of ['a/b.ts', '/a', 'a//b', 'a+b %2B.mp4', "grüße ' ( ) * ! ~.mp4", 'a&b<c>"d"?x=1#y']) {
      await put(Key, bytes, { ContentType: 'video/mp4', CacheControl: 'max-age=5', Metadata: { sha256: 'x' } });
      expect((await body(Key)).equals(bytes)).toBe(true);
      const head = await client.send(new HeadObjectCommand({ Bucket, Key }));
      const ETag = `"${createHash('md5').update(bytes).digest('hex')}"`;
      expect(head).toMatchObject({
        ETag,
        ContentType: 'video/mp4',
        CacheControl: 'max-age=5',
        Metadata: { sha256: 'x' },
      });
    }
  });

  test('a reader keeps the version that it began with', async () => {
    const [before, after] = [randomBytes(8_000_000), randomBytes(10)];
    await put('replaced', before);
    const reading = await client.send(new GetObjectCommand({ Bucket, Key: 'replaced' }));
    await put('replaced', after);
    expect(Buffer.from(await reading.Body!.transformToByteArray()).equals(before)).toBe(true);
    expect((await body('replaced')).equals(after)).toBe(true);
  });

  test('ranges and preconditions', async () => {
    const { ETag } = await put('r', Buffer.from('0123456789'));
    expect((await body('r', { Range: 'bytes=2-4' })).toString()).toBe('234');
    expect((await body('r', { Range: 'bytes=-3', IfMatch: ETag })).toString()).toBe('789');
    await expect(body('r', { Range: 'bytes=10-' })).rejects.toMatchObject({ name: 'InvalidRange' });
    await expect(body('r', { IfMatch: '"other"' })).rejects.toMatchObject({ name: 'PreconditionFailed' });
    await expect(body('r', { IfNoneMatch: ETag })).rejects.toMatchObject({ $metadata: { httpStatusCode: 304 } });
  });

  test('a body that is not its checksum is refused and leaves the old object and no file', async () => {
    await put('sum', Buffer.from('good'));
    const files = (await readdir(join(folder, 'bodies'))).length;
    const wrong = createHash('sha256').update('other').digest('base64');
    await expect(put('sum', Buffer.from('bad'), { ChecksumSHA256: wrong })).rejects.toMatchObject({
      name: 'BadDigest',
    });
    expect((await body('sum')).toString()).toBe('good');
    expect(await readdir(join(folder, 'bodies'))).toHaveLength(files);
  });

  test('a deleted object is gone, and deleting again is no error', async () => {
    await put('gone', Buffer.from('x'));
    await client.send(new DeleteObjectCommand({ Bucket, Key: 'gone' }));
    await client.send(new DeleteObjectCommand({ Bucket, Key: 'gone' }));
    await expect(body('gone')).rejects.toMatchObject({ name: 'NoSuchKey' });
  });
});

test('listing gives every key once, in byte order, over pages, also when one is deleted meanwhile', async () => {
  const keys = ['list/a b', 'list/a+b', 'list/é', ...Array.from({ length: 7 }, (_, i) => `list/${i}`)];
  for (const key of keys) await put(key, Buffer.alloc(0));
  const listed: string[] = [];
  let ContinuationToken: string | undefined;
  do {
    const page = await client.send(
      new ListObjectsV2Command({ Bucket, Prefix: 'list/', MaxKeys: 3, ContinuationToken }),
    );
    listed.push(...(page.Contents ?? []).map(({ Key }) => Key!));
    if (listed.length === 3) await client.send(new DeleteObjectCommand({ Bucket, Key: listed[2]! }));
    ContinuationToken = page.NextContinuationToken;
  } while (ContinuationToken !== undefined);
  expect(listed).toEqual([...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
});

test('a new server on the folder has the objects of the one before', async () => {
  await put('kept', Buffer.from('kept'));
  const again = new S3Server({ folder, bucket: Bucket, credentials: KEYS });
  const other = connect({ endpoint: `http://127.0.0.1:${await again.start({ host: '127.0.0.1', port: 0 })}` });
  const answer = await other.send(new GetObjectCommand({ Bucket, Key: 'kept' }));
  expect(await answer.Body!.transformToString()).toBe('kept');
  other.destroy();
  await again.close();
});

describe('who may', () => {
  test.each([
    ['InvalidAccessKeyId', { accessKeyId: 'OTHER', secretAccessKey: KEYS.secretKey }],
    ['SignatureDoesNotMatch', { accessKeyId: KEYS.accessKey, secretAccessKey: 'other' }],
  ])('%s', async (name, credentials) => {
    const other = connect({ credentials });
    await expect(other.send(new ListObjectsV2Command({ Bucket }))).rejects.toMatchObject({ name });
    other.destroy();
  });

  test('a clock that is an hour off is refused', async () => {
    const other = connect({ systemClockOffset: 3_600_000 });
    await expect(other.send(new ListObjectsV2Command({ Bucket }))).rejects.toMatchObject({
      name: 'RequestTimeTooSkewed',
    });
    other.destroy();
  });

  test('an unsigned request gets nothing; another bucket is missing', async () => {
    const status = await new Promise((resolve) =>
      request(`http://127.0.0.1:${port}/${Bucket}/kept`, (response) => resolve(response.resume().statusCode)).end(),
    );
    expect(status).toBe(403);
    await client.send(new HeadBucketCommand({ Bucket }));
    await expect(client.send(new ListObjectsV2Command({ Bucket: 'other' }))).rejects.toMatchObject({
      name: 'NoSuchBucket',
    });
  });
});
