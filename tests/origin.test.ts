import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { uploadContent } from '../deploy/content.ts';
import { S3Server } from '../deploy/s3/server.ts';
import { type OriginServer, startOrigin } from '../origin/main.ts';
import { ORIGIN_OPTIONS } from '../origin/options.ts';
import { silentLog } from '../runtime/log.ts';
import { parseOptions } from '../runtime/options.ts';
import { ask } from './support/http.ts';
import { until } from './support/until.ts';

const KEYS = { accessKey: 'AKIATEST', secretKey: 'secret/of+the=test' };
const ENV = { AWS_ACCESS_KEY_ID: KEYS.accessKey, AWS_SECRET_ACCESS_KEY: KEYS.secretKey };
const BODY = randomBytes(3_000_000);
const sha256 = (body: Buffer) => createHash('sha256').update(body).digest();

let folder: string;
let s3: S3Server;
let s3Port: number;
let origin: OriginServer;
let url: string;
let admin: string;

const s3Options = () => ({ folder: join(folder, 's3'), bucket: 'films', credentials: KEYS });
const target = () => ({
  endpoint: `http://127.0.0.1:${s3Port}`,
  bucket: 'films',
  accessKeyId: KEYS.accessKey,
  secretAccessKey: KEYS.secretKey,
});

function start(words: readonly string[] = [], env: NodeJS.ProcessEnv = ENV): Promise<OriginServer> {
  const given = ['--listen=127.0.0.1:0', '--admin=127.0.0.1:0', `--s3-endpoint=http://127.0.0.1:${s3Port}`];
  const options = parseOptions(ORIGIN_OPTIONS, {
    part: 'origin',
    argv: [...given, '--s3-bucket=films', `--state=${join(folder, 'origin')}`, '--catalogue-interval=100ms', ...words],
  });
  return startOrigin(options, env, silentLog());
}

async function content(files: Readonly<Record<string, Buffer>>): Promise<{ uploaded: readonly string[] }> {
  const source = await mkdtemp(join(folder, 'content-'));
  for (const [name, body] of Object.entries(files)) {
    await mkdir(join(source, name, '..'), { recursive: true });
    await writeFile(join(source, name), body);
  }
  return uploadContent([source], target(), join(folder, 'uploaded.json'));
}

const FILES = {
  'film/master.m3u8': Buffer.from('#EXTM3U\n'),
  'film/seg 1+2.m4s': BODY,
  'files/0.bin': Buffer.alloc(0),
  'files/1k.bin': BODY.subarray(0, 1024),
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nearcast-origin-'));
  s3 = new S3Server(s3Options());
  s3Port = await s3.start({ host: '127.0.0.1', port: 0 });
  await content(FILES);
  origin = await start();
  url = `http://127.0.0.1:${origin.port}`;
  admin = `http://127.0.0.1:${origin.adminPort}`;
});

afterAll(async () => {
  await origin?.close(0);
  await s3?.close();
  await rm(folder, { recursive: true, force: true });
});

describe('an object through the gateway', () => {
  test('has its bytes, validators, media type, default freshness and digest', async () => {
    const answer = await ask(`${url}/film/seg%201%2B2.m4s`);
    expect(answer.status).toBe(200);
    expect(answer.body.equals(BODY)).toBe(true);
    expect(answer.fields).toMatchObject({
      'content-type': 'video/iso.segment',
      'content-length': String(BODY.length),
      'cache-control': 'public, max-age=86400, immutable',
      'accept-ranges': 'bytes',
      'access-control-allow-origin': '*',
      'timing-allow-origin': '*',
      'repr-digest': `sha-256=:${sha256(BODY).toString('base64')}:`,
    });
    expect(answer.fields.etag).toMatch(/^"[0-9a-f]{32}"$/);
    expect(Date.parse(answer.fields['last-modified']!)).toBeLessThanOrEqual(Date.now());
  });

  test('a playlist is fresh for a minute; HEAD has the same head and no body', async () => {
    const get = await ask(`${url}/film/master.m3u8`);
    const head = await ask(`${url}/film/master.m3u8`, { method: 'HEAD' });
    expect(get.fields['cache-control']).toBe('public, max-age=60');
    expect(get.fields['content-type']).toBe('application/vnd.apple.mpegurl');
    const { date: _, ...fields } = get.fields;
    expect(head.fields).toMatchObject(fields);
    expect(head.body.length).toBe(0);
  });

  test('`+` and `%2B` name the same key, `%252B` another', async () => {
    expect((await ask(`${url}/film/seg%201+2.m4s`)).status).toBe(200);
    expect((await ask(`${url}/film/seg%201%252B2.m4s`)).status).toBe(404);
  });

  test.each([
    ['bytes=0-0', 'bytes 0-0/3000000', 0, 1],
    ['bytes=1000000-1999999', 'bytes 1000000-1999999/3000000', 1_000_000, 2_000_000],
    ['bytes=2999999-', 'bytes 2999999-2999999/3000000', 2_999_999, 3_000_000],
    ['bytes=-5000000', 'bytes 0-2999999/3000000', 0, 3_000_000],
  ])('the range %s', async (range, contentRange, from, to) => {
    const answer = await ask(`${url}/film/seg%201%2B2.m4s`, { fields: { range } });
    expect(answer.status).toBe(206);
    expect(answer.fields['content-range']).toBe(contentRange);
    expect(answer.fields['repr-digest']).toBeUndefined();
    expect(answer.body.equals(BODY.subarray(from, to))).toBe(true);
  });

  test('a range outside is 416 with the size; several ranges and a bad one give the whole', async () => {
    const outside = await ask(`${url}/files/1k.bin`, { fields: { range: 'bytes=1024-' } });
    expect(outside.status).toBe(416);
    expect(outside.fields['content-range']).toBe('bytes */1024');
    for (const range of ['bytes=0-1,5-6', 'bytes=5-2', 'items=0-1'])
      expect(await ask(`${url}/files/1k.bin`, { fields: { range } })).toMatchObject({
        status: 200,
        body: FILES['files/1k.bin'],
      });
  });

  test('an empty object: 200 for a suffix, 416 for an open range', async () => {
    expect((await ask(`${url}/files/0.bin`)).fields['content-length']).toBe('0');
    expect((await ask(`${url}/files/0.bin`, { fields: { range: 'bytes=-5' } })).status).toBe(200);
    const open = await ask(`${url}/files/0.bin`, { fields: { range: 'bytes=0-' } });
    expect(open.status).toBe(416);
    expect(open.fields['content-range']).toBe('bytes */0');
  });

  test('conditions: 304 with its validators and freshness, 412, and a 304 before a 416', async () => {
    const { etag, 'last-modified': modified } = (await ask(`${url}/files/1k.bin`)).fields as Record<string, string>;
    const status = async (fields: Record<string, string>) => (await ask(`${url}/files/1k.bin`, { fields })).status;
    for (const tag of [etag!, `W/${etag}`, `"z", ${etag}`, '*']) {
      const answer = await ask(`${url}/files/1k.bin`, { fields: { 'if-none-match': tag } });
      expect(answer.status).toBe(304);
      expect(answer.fields).toMatchObject({ etag, 'last-modified': modified, 'cache-control': 'public, max-age=3600' });
    }
    expect(await status({ 'if-modified-since': modified! })).toBe(304);
    expect(await status({ 'if-none-match': '"z"', 'if-modified-since': modified! })).toBe(200);
    expect(await status({ 'if-match': '"z"' })).toBe(412);
    expect(await status({ 'if-match': `"z", ${etag}`, range: 'bytes=0-1' })).toBe(206);
    expect(await status({ 'if-range': etag!, range: 'bytes=0-1' })).toBe(206);
    expect(await status({ 'if-range': '"z"', range: 'bytes=0-1' })).toBe(200);
    expect(await status({ 'if-none-match': etag!, range: 'bytes=999999-' })).toBe(304);
  });

  test('what is missing, malformed or of another method says so, and nothing of S3', async () => {
    const missing = await ask(`${url}/film/none.m4s`);
    expect(missing.status).toBe(404);
    expect(missing.fields['cache-control']).toBe('public, max-age=5');
    expect(missing.body.toString()).toBe('not found\n');
    expect((await ask(`${url}/`)).status).toBe(404);
    expect((await ask(`${url}/a/..%2fb`)).status).toBe(400);
    expect((await ask(`${url}/files/1k.bin`, { method: 'DELETE' })).status).toBe(405);
    expect((await ask(`${url}/files/1k.bin`, { method: 'OPTIONS' })).fields['access-control-allow-methods']).toContain(
      'GET',
    );
  });

  test("a client's S3 query and signature change nothing and reach nobody", async () => {
    const answer = await ask(`${url}/files/1k.bin?X-Amz-Signature=00&X-Amz-Credential=evil&list-type=2&partNumber=1`, {
      fields: { authorization: 'AWS4-HMAC-SHA256 Credential=evil', 'x-amz-date': 'x', 'x-amz-copy-source': '/films/a' },
    });
    expect(answer.status).toBe(200);
    expect(answer.body.equals(FILES['files/1k.bin'])).toBe(true);
  });
});

describe('the catalogue', () => {
  const catalogue = async () => JSON.parse((await ask(`${admin}/v1/catalogue`)).body.toString());
  const paths = (found: { assets: { path: string }[] }) => found.assets.map(({ path }) => path);

  test('lists every object with its digest, follows changes, and its version rises with each', async () => {
    const first = await until('a first listing', 5000, async () =>
      (await ask(`${admin}/v1/catalogue`)).status === 200 ? catalogue() : undefined,
    );
    expect(paths(first)).toEqual(['/files/0.bin', '/files/1k.bin', '/film/master.m3u8', '/film/seg%201+2.m4s']);
    expect(first.assets[3]).toMatchObject({
      bytes: BODY.length,
      sha256: sha256(BODY).toString('hex'),
      contentType: 'video/iso.segment',
      title: 'film',
    });
    const { 'files/0.bin': _, ...rest } = FILES;
    const changed = await content({
      ...rest,
      'film/new.m4s': Buffer.from('new'),
      'files/1k.bin': Buffer.from('other'),
    });
    expect([...changed.uploaded].sort()).toEqual(['files/1k.bin', 'film/new.m4s']);
    const second = await until('the change', 5000, async () => {
      const now = await catalogue();
      return paths(now).includes('/film/new.m4s') && !paths(now).includes('/files/0.bin') ? now : undefined;
    });
    expect(second.version).toBeGreaterThan(first.version);
    const other = second.assets.find(({ path }: { path: string }) => path === '/files/1k.bin');
    expect(other.sha256).toBe(sha256(Buffer.from('other')).toString('hex'));
    const etag = `"${second.version}"`;
    expect((await ask(`${admin}/v1/catalogue`, { fields: { 'if-none-match': etag } })).status).toBe(304);
    expect((await content(FILES)).uploaded).toHaveLength(2);
  });
});

describe('when S3 is at fault', () => {
  test.each([
    ['a wrong secret', [], { ...ENV, AWS_SECRET_ACCESS_KEY: 'wrong' }, 's3-credentials', 1],
    ['a wrong key id', [], { ...ENV, AWS_ACCESS_KEY_ID: 'AKIAOTHER' }, 's3-credentials', 1],
    ['a missing bucket', ['--s3-bucket=none'], ENV, 's3-no-bucket', 3],
    ['a refused connection', ['--s3-endpoint=http://127.0.0.1:9'], ENV, 's3-unreachable', 75],
    ['half of the credentials', [], { AWS_ACCESS_KEY_ID: 'a' }, 's3-credentials', 2],
  ])('%s ends the start with one line and the fix', async (_, words, env, code, exit) => {
    const error = await start(words, env).catch((fault: unknown) => fault);
    expect(error).toMatchObject({ code, exit });
    expect((error as { line(): string }).line()).toMatch(/^error: [^\n]+; [^\n]+$/);
  });

  test('away while running: 503 with Retry-After, not ready; back: ready and serving by itself', async () => {
    await s3.close();
    const answer = await ask(`${url}/files/1k.bin`);
    expect(answer.status).toBe(503);
    expect(answer.fields['retry-after']).toBe('5');
    expect(answer.fields['cache-control']).toBe('no-store');
    expect((await ask(`${admin}/readyz`)).status).toBe(503);
    expect((await ask(`${admin}/healthz`)).status).toBe(200);
    s3 = new S3Server(s3Options());
    await s3.start({ host: '127.0.0.1', port: s3Port });
    await until('ready again', 10_000, async () => ((await ask(`${admin}/readyz`)).status === 200 ? true : undefined));
    expect((await ask(`${url}/files/1k.bin`)).status).toBe(200);
  });

  test('a body that S3 cuts short ends the connection, never as if whole', async () => {
    const cutting = await cuttingServer();
    const another = await start([`--s3-endpoint=http://127.0.0.1:${cutting.port}`, `--state=${join(folder, 'cut')}`]);
    try {
      await expect(ask(`http://127.0.0.1:${another.port}/big.bin`)).rejects.toThrow(/aborted|hang up|ECONNRESET/);
    } finally {
      await another.close(0);
      cutting.server.close();
    }
    const metrics = (await ask(`${admin}/metrics`)).body.toString();
    expect(metrics).toMatch(/nearcast_origin_responses_total\{outcome="part"\} [1-9]/);
  });
});

/** An S3 that lists an empty bucket and sends 10 of 100 bytes of any object. */
async function cuttingServer(): Promise<{ server: Server; port: number }> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      const isList = chunk.toString('latin1').includes('list-type=2');
      const xml = '<ListBucketResult><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>';
      if (isList)
        socket.write(`HTTP/1.1 200 OK\r\ncontent-type: application/xml\r\ncontent-length: ${xml.length}\r\n\r\n${xml}`);
      else socket.end('HTTP/1.1 200 OK\r\netag: "x"\r\ncontent-length: 100\r\n\r\n0123456789');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, port: (server.address() as { port: number }).port };
}
