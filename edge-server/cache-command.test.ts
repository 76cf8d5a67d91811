import { execFile } from 'node:child_process';
import { mkdtemp, open, readdir, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silentLog } from '../runtime/log.ts';
import type { StoredResponse } from './cache/stored-response.ts';
import { openStore } from './store/open-store.ts';

const COMMAND = join(import.meta.dirname, '../deploy/command.ts');
let folder: string;

function nearcast(...argv: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [COMMAND, 'cache', ...argv], { timeout: 20_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

function response(key: string, bodyLength: number): StoredResponse {
  const now = Date.now();
  return {
    ...{ id: key, key, vary: [], variant: '', status: 200, bodyLength, etag: '"1"', lastModifiedMillis: undefined },
    ...{ fields: ['content-type', 'text/plain'], requestMillis: now, responseMillis: now, initialAgeMillis: 0 },
    ...{ purgeNumber: 0, tags: ['film'], sha256: undefined },
    freshness: {
      lifetimeMillis: 60_000,
      staleWhileRevalidateMillis: 0,
      staleIfErrorMillis: 0,
      staleForbidden: false,
      alwaysValidate: false,
      immutable: false,
      from: 'max-age',
    },
  };
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nearcast-cache-command-'));
  const store = await openStore({
    memoryBytes: 1 << 20,
    diskBytes: 64 << 20,
    volumes: [folder],
    workerIndex: 0,
    workerCount: 1,
    log: silentLog(),
  });
  for (const [path, bytes] of [
    ['small', 100],
    ['medium', 100_000],
  ] as const) {
    const stored = response(`http://example.org/${path}`, bytes);
    const writer = store.begin(stored);
    await writer.slice(0, Buffer.alloc(bytes, 'x'));
    expect((await writer.finish(stored)).kind).toBe('stored');
  }
  await store.close();
});

afterAll(() => rm(folder, { recursive: true, force: true }));

describe('nearcast cache on a stopped edge', () => {
  it('ls lists what is stored, as lines and as JSON', async () => {
    const { code, stdout } = await nearcast('ls', '--cache-dir', folder);
    expect(code).toBe(0);
    expect(stdout).toContain('http://example.org/small');
    const rows = JSON.parse((await nearcast('ls', '--cache-dir', folder, '--json')).stdout) as {
      key: string;
      bytes: number;
      complete: boolean;
    }[];
    expect(rows.map(({ key, bytes, complete }) => [key, bytes, complete]).sort()).toEqual([
      ['http://example.org/medium', 100_000, true],
      ['http://example.org/small', 100, true],
    ]);
  });

  it('show tells everything about one URL, and says so when it is not stored', async () => {
    const { stdout } = await nearcast('show', 'http://example.org/medium', '--cache-dir', folder);
    expect(stdout).toMatch(/^etag +"1"$/m);
    expect(stdout).toMatch(/^tags +\["film"\]$/m);
    expect(stdout).toContain('  content-type: text/plain');
    const missing = await nearcast('show', 'http://example.org/none', '--cache-dir', folder);
    expect(missing.code).toBe(3);
    expect(missing.stderr).toContain('not-stored');
  });

  it('verify passes on whole bytes, and names the URL whose bytes have changed', async () => {
    expect((await nearcast('verify', '--cache-dir', folder)).code).toBe(0);
    const extents = join(folder, 'extents');
    const [name] = await readdir(extents);
    const file = await open(join(extents, name!), 'r+');
    await file.write(Buffer.from('y'), 0, 1, 50_000);
    await file.close();
    const { code, stdout } = await nearcast('verify', '--cache-dir', folder, '--json');
    expect(code).toBe(1);
    expect((JSON.parse(stdout) as { bad: { key: string }[] }).bad.map(({ key }) => key)).toEqual([
      'http://example.org/medium',
    ]);
  });

  it('a wrong verb, a missing folder and a URL that is none are usage errors with the fix', async () => {
    expect(await nearcast('lss')).toMatchObject({ code: 2, stderr: expect.stringContaining('did you mean cache ls?') });
    expect(await nearcast('ls')).toMatchObject({ code: 2, stderr: expect.stringContaining('--cache-dir is required') });
    expect(await nearcast('show', 'example.org', '--cache-dir', folder)).toMatchObject({ code: 2 });
  });
});

describe('nearcast cache on a running edge', () => {
  it('purge asks the edge for exactly that URL, and tells when it is away or refuses', async () => {
    const asked: string[] = [];
    const edge: Server = createServer((request, answer) => {
      asked.push(
        `${request.method} ${request.headers.host} ${request.url} ${request.headers['nearcast-soft-purge'] ?? 'hard'}`,
      );
      answer.writeHead(request.url === '/forbidden' ? 403 : 200).end();
    });
    await new Promise<void>((resolve) => edge.listen(0, '127.0.0.1', resolve));
    const at = `http://127.0.0.1:${(edge.address() as AddressInfo).port}`;
    expect((await nearcast('purge', 'http://example.org/a?b=1', '--edge', at, '--soft')).code).toBe(0);
    expect((await nearcast('purge', 'http://example.org/forbidden', '--edge', at)).code).toBe(1);
    expect(asked).toEqual(['PURGE example.org /a?b=1 1', 'PURGE example.org /forbidden hard']);
    edge.closeAllConnections();
    await new Promise((resolve) => edge.close(resolve));
    expect((await nearcast('purge', 'http://example.org/a', '--edge', at)).code).toBe(75);
  });
});
