import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { FillSource } from '../control-plane/api.ts';
import { type Clock, systemClock, VirtualClock } from '../runtime/clock.ts';
import { silentLog } from '../runtime/log.ts';
import { FillAgent, type FillAgentOptions } from './agent.ts';
import type { FillHead, FillStore, FillWrite, HeldAsset } from './fill-store.ts';
import type { PlannedManifest } from './planner.ts';

const opened: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
const patterned = (length: number, seed: number) => Buffer.alloc(length, `${seed}-nearcast-`);

/** Twenty times as fast as the system's, so that waits of seconds pass in moments while real sockets are read. */
class HurriedClock implements Clock {
  readonly #begin = performance.now();
  now = () => 1_700_000_000_000 + this.monotonic();
  monotonic = () => (performance.now() - this.#begin) * 20;
  after = (millis: number, callback: () => void) => systemClock.after(millis / 20, callback);
  every = (millis: number, callback: () => void) => systemClock.every(millis / 20, callback);
}

/** Moves by nothing but waits of less than 5 s (deadlines are longer), each of which passes at once. */
class WaitedClock extends VirtualClock {
  override after(millis: number, callback: () => void) {
    const timer = super.after(millis, callback);
    if (millis < 5000) setImmediate(() => this.advance(millis));
    return timer;
  }
}

class MemoryStore implements FillStore {
  readonly bodies = new Map<string, { bytes: Buffer; head: FillHead; sha256: string }>();
  readonly pins = new Map<string, boolean>();
  readonly begun: string[] = [];
  abandoned = 0;
  heldFor: Record<string, HeldAsset> = {};
  refuse: string | undefined;
  throwOnWrite = false;
  ownsPath: (path: string) => boolean = () => true;

  held = async (path: string): Promise<HeldAsset | undefined> => {
    const body = this.bodies.get(path);
    if (body !== undefined) return { complete: true, sha256: body.sha256, etag: undefined };
    return this.heldFor[path];
  };
  owns = (path: string) => this.ownsPath(path);
  pin = (path: string, pinned: boolean) => void this.pins.set(path, pinned);

  begin(path: string, head: FillHead, expected: { sha256: string }): FillWrite {
    this.begun.push(path);
    const chunks: Buffer[] = [];
    return {
      write: async (chunk) => {
        if (this.throwOnWrite) throw new Error('volume-failed');
        chunks.push(chunk);
      },
      commit: async () => {
        if (this.refuse !== undefined) return { kind: 'refused', why: this.refuse };
        this.bodies.set(path, { bytes: Buffer.concat(chunks), head, sha256: expected.sha256 });
        return { kind: 'stored' };
      },
      abandon: () => void this.abandoned++,
    };
  }
}

type Fault = (request: IncomingMessage, response: ServerResponse, count: number) => boolean | undefined;

/** An HTTP source over a map of files, with Range and If-Match, that a test can make misbehave. */
class FakeSource {
  readonly files: Map<string, Buffer>;
  readonly asked: { path: string; range: string | undefined; onlyIfCached: boolean }[] = [];
  fault: Fault = () => false;
  bytesSent = 0;
  etagOf = (bytes: Buffer) => `"${sha256(bytes).slice(0, 16)}"`;
  readonly #counts = new Map<string, number>();
  readonly server: Server;

  constructor(files: Map<string, Buffer>) {
    this.files = files;
    this.server = createServer((request, response) => this.#answer(request, response));
  }

  static async start(files = new Map<string, Buffer>()): Promise<FakeSource> {
    const source = new FakeSource(files);
    await new Promise<void>((resolve) => source.server.listen(0, '127.0.0.1', resolve));
    opened.push(() => source.stop());
    return source;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  count = (path: string) => this.#counts.get(path) ?? 0;

  stop(): Promise<void> {
    this.server.closeAllConnections();
    return new Promise((resolve) => this.server.close(() => resolve()));
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = request.url!;
    const onlyIfCached = request.headers['cache-control'] === 'only-if-cached';
    this.asked.push({ path, range: request.headers.range, onlyIfCached });
    const count = this.count(path) + 1;
    this.#counts.set(path, count);
    if (this.fault(request, response, count) === true) return;
    const bytes = this.files.get(path);
    if (bytes === undefined) return void response.writeHead(onlyIfCached ? 504 : 404).end();
    const etag = this.etagOf(bytes);
    if (request.headers['if-match'] !== undefined && request.headers['if-match'] !== etag)
      return void response.writeHead(412).end();
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const part = bytes.subarray(from);
    this.bytesSent += part.length;
    const partial =
      request.headers.range === undefined
        ? {}
        : { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` };
    response.writeHead(request.headers.range === undefined ? 200 : 206, {
      etag,
      'content-length': part.length,
      ...partial,
    });
    response.end(part);
  }
}

function manifestOf(
  files: Map<string, Buffer>,
  sources: FillSource[],
  changes: Partial<PlannedManifest> = {},
): PlannedManifest {
  const assets = [...files].map(([path, bytes]) => ({
    path,
    bytes: bytes.length,
    sha256: sha256(bytes),
    etag: `"${sha256(bytes).slice(0, 16)}"`,
    pinned: true,
  }));
  return { version: 1, appliance: 'a1', now: true, assets, sources, ...changes };
}

function agentWith(store: FillStore, options: Partial<FillAgentOptions> = {}): FillAgent {
  const agent = new FillAgent({ store, clock: new HurriedClock(), log: silentLog(), ownAppliance: 'a1', ...options });
  opened.push(() => agent.close());
  return agent;
}

async function filled(agent: FillAgent, manifest: PlannedManifest) {
  agent.obey(manifest);
  await agent.settled();
  return agent.progress();
}

const film = () => new Map(Array.from({ length: 6 }, (_, i) => [`/film/${i}.m4s`, patterned(100_000 + i, i)]));
const one = (length = 3_000_000) => new Map([['/large.bin', patterned(length, 7)]]);
const source = (kind: FillSource['kind'], id: string, fake: FakeSource): FillSource => ({ kind, id, url: fake.url });

/** Sends the head and the first `bytes`, then breaks the connection. */
const cutAfter = (fake: FakeSource, path: string, bytes: number, response: ServerResponse) => {
  const whole = fake.files.get(path)!;
  response.writeHead(200, { etag: fake.etagOf(whole), 'content-length': whole.length });
  response.write(whole.subarray(0, bytes), () => setImmediate(() => response.destroy()));
};

describe('an agent alone', () => {
  test('fetches what its manifest names, in its order, checks it, pins it, and says what came from where', async () => {
    const files = film().set('/empty', Buffer.alloc(0));
    const region = await FakeSource.start(files);
    const store = new MemoryStore();
    const progress = await filled(
      agentWith(store, { limits: { parallel: 1 } }),
      manifestOf(files, [source('region', 'r1', region)]),
    );
    for (const [path, bytes] of files) expect(store.bodies.get(path)!.bytes.equals(bytes)).toBe(true);
    expect(store.begun).toEqual([...files.keys()]);
    expect([...store.pins]).toEqual([...files.keys()].map((path) => [path, true]));
    const bytes = [...files.values()].reduce((sum, { length }) => sum + length, 0);
    expect(progress).toEqual({
      manifestVersion: 1,
      state: 'done',
      assetsPlanned: 7,
      assetsDone: 7,
      bytesPlanned: bytes,
      bytesDone: bytes,
      bytesBySource: { peer: 0, region: bytes, origin: 0 },
      failures: [],
    });
  });

  test('gives the store what of the head belongs to the asset, with the length of the whole and the times of the fetch', async () => {
    const files = one();
    const origin = await FakeSource.start(files);
    origin.fault = (_request, response) => {
      response.setHeader('cache-status', 'nearcast-r1; hit');
      response.setHeader('age', '7');
      return false;
    };
    const store = new MemoryStore();
    await filled(agentWith(store), manifestOf(files, [source('origin', 'origin', origin)]));
    const { head } = store.bodies.get('/large.bin')!;
    expect(head).toMatchObject({ status: 200, length: 3_000_000 });
    expect(head.fields).toEqual(expect.arrayContaining(['etag', origin.etagOf(files.get('/large.bin')!)]));
    expect(head.fields).toEqual(expect.arrayContaining(['age', '7']));
    expect(head.fields).not.toContain('content-length');
    expect(head.fields).not.toContain('cache-status');
    expect(head.responseMillis).toBeGreaterThanOrEqual(head.requestMillis);
  });

  test('leaves alone what is held already by digest or by strong validator, and fetches what only looks like it', async () => {
    const files = film();
    const region = await FakeSource.start(files);
    const manifest = manifestOf(files, [source('region', 'r1', region)]);
    const [byDigest, byEtag, otherDigest, weak, incomplete] = manifest.assets;
    const store = new MemoryStore();
    store.heldFor = {
      [byDigest!.path]: { complete: true, sha256: byDigest!.sha256.toUpperCase(), etag: undefined },
      [byEtag!.path]: { complete: true, sha256: undefined, etag: byEtag!.etag },
      [otherDigest!.path]: { complete: true, sha256: 'f'.repeat(64), etag: otherDigest!.etag },
      [weak!.path]: { complete: true, sha256: undefined, etag: `W/${weak!.etag}` },
      [incomplete!.path]: { complete: false, sha256: incomplete!.sha256, etag: incomplete!.etag },
    };
    const progress = await filled(agentWith(store), manifest);
    expect(progress).toMatchObject({ state: 'done', assetsDone: 6 });
    expect(new Set(region.asked.map(({ path }) => path))).toEqual(
      new Set(manifest.assets.slice(2).map(({ path }) => path)),
    );
    expect(store.pins.get(byEtag!.path)).toBe(true);
  });

  test('fills only what its worker owns', async () => {
    const files = film();
    const region = await FakeSource.start(files);
    const store = new MemoryStore();
    store.ownsPath = (path) => path.includes('3');
    expect(await filled(agentWith(store), manifestOf(files, [source('region', 'r1', region)]))).toMatchObject({
      state: 'done',
      assetsPlanned: 1,
      assetsDone: 1,
    });
    expect([...store.bodies.keys()]).toEqual(['/film/3.m4s']);
  });

  test('does nothing for a manifest of the version in force', async () => {
    const files = film();
    const region = await FakeSource.start(files);
    const agent = agentWith(new MemoryStore());
    const manifest = manifestOf(files, [source('region', 'r1', region)]);
    await filled(agent, manifest);
    await filled(agent, manifest);
    expect(region.asked).toHaveLength(6);
  });
});

describe('limits', () => {
  test('no more assets than told are fetched at a time', async () => {
    const files = film();
    const region = await FakeSource.start(files);
    const store = new MemoryStore();
    const gate = Promise.withResolvers<void>();
    const asked: string[] = [];
    const held = store.held;
    store.held = async (path) => {
      asked.push(path);
      await gate.promise;
      return held(path);
    };
    const agent = agentWith(store, { limits: { parallel: 2 } });
    agent.obey(manifestOf(files, [source('region', 'r1', region)]));
    await new Promise(setImmediate);
    expect(asked).toEqual([...files.keys()].slice(0, 2));
    gate.resolve();
    await agent.settled();
    expect(agent.progress().assetsDone).toBe(6);
  });

  test('a cap holds back the bytes', async () => {
    const files = one(1_000_000);
    const region = await FakeSource.start(files);
    const clock = new WaitedClock();
    const begin = clock.now();
    const limits = { bytesPerSecond: 250_000 };
    await filled(agentWith(new MemoryStore(), { clock, limits }), manifestOf(files, [source('region', 'r1', region)]));
    // A megabyte at a quarter of one a second, less the quarter second in the bucket.
    expect(clock.now() - begin).toBeGreaterThan(3700);
    expect(clock.now() - begin).toBeLessThan(4000);
  });

  test('the own window holds where the manifest names none', async () => {
    const files = one(10);
    const region = await FakeSource.start(files);
    const clock = new VirtualClock(Date.parse('2026-01-10T20:00:00Z'));
    const agent = agentWith(new MemoryStore(), { clock, window: { zone: 'UTC', fromMinute: 0, toMinute: 0 } });
    expect(await filled(agent, manifestOf(files, [source('region', 'r1', region)], { now: false }))).toMatchObject({
      state: 'done',
      assetsDone: 1,
    });
  });

  test('closing leaves no connection open', async () => {
    const files = film();
    const region = await FakeSource.start(files);
    const closed: Promise<void>[] = [];
    region.server.on('connection', (socket) =>
      closed.push(new Promise((resolve) => socket.once('close', () => resolve()))),
    );
    const agent = agentWith(new MemoryStore());
    await filled(agent, manifestOf(files, [source('region', 'r1', region)]));
    await agent.close();
    expect(closed.length).toBeGreaterThan(0);
    await Promise.race([
      Promise.all(closed),
      new Promise((_, reject) => setTimeout(() => reject(new Error('a connection stays open')), 2000).unref()),
    ]);
  });
});

describe('a fault of a source', () => {
  test('a source that answers a range with the whole is read from the start again', async () => {
    const files = one();
    const region = await FakeSource.start(files);
    region.fault = (request, response, count) => {
      const whole = files.get(request.url!)!;
      if (count === 1) cutAfter(region, request.url!, 1_000_000, response);
      else response.writeHead(200, { etag: region.etagOf(whole), 'content-length': whole.length }).end(whole);
      return true;
    };
    const store = new MemoryStore();
    const progress = await filled(agentWith(store), manifestOf(files, [source('region', 'r1', region)]));
    expect(progress).toMatchObject({ assetsDone: 1, bytesDone: 3_000_000 });
    expect(store.bodies.get('/large.bin')!.bytes.equals(files.get('/large.bin')!)).toBe(true);
    expect(store.abandoned).toBe(1);
  });

  test('a range other than the one asked for is not taken', async () => {
    const files = one();
    const region = await FakeSource.start(files);
    region.fault = (request, response, count) => {
      const whole = files.get(request.url!)!;
      const from = Number(/\d+/.exec(request.headers.range ?? '0')![0]);
      if (count === 1) cutAfter(region, request.url!, 1_000_000, response);
      else {
        const range = `bytes ${from + 1}-${whole.length}/${whole.length + 1}`;
        const fields = { etag: region.etagOf(whole), 'content-length': whole.length - from, 'content-range': range };
        response.writeHead(206, fields).end(whole.subarray(from));
      }
      return true;
    };
    const progress = await filled(agentWith(new MemoryStore()), manifestOf(files, [source('region', 'r1', region)]));
    expect(progress.failures[0]!.why).toContain('changed (content-range bytes');
  });

  test('when bytes of two sources make a wrong whole, the second is asked for all of it', async () => {
    const files = one();
    const [region, origin] = [await FakeSource.start(files), await FakeSource.start(files)];
    region.fault = (request, response, count) => {
      const whole = files.get(request.url!)!;
      if (count > 1) return response.writeHead(403).end() !== undefined;
      response.writeHead(200, { etag: region.etagOf(whole), 'content-length': whole.length });
      response.write(Buffer.alloc(1_000_000, 'wrong'), () => setImmediate(() => response.destroy()));
      return true;
    };
    const store = new MemoryStore();
    const progress = await filled(
      agentWith(store),
      manifestOf(files, [source('region', 'r1', region), source('origin', 'origin', origin)]),
    );
    expect(progress).toMatchObject({ assetsDone: 1, bytesDone: 3_000_000 });
    expect(origin.asked.map(({ range }) => range === undefined)).toEqual([false, true]);
    expect(store.bodies.get('/large.bin')!.bytes.equals(files.get('/large.bin')!)).toBe(true);
  });

  test('a cut body goes on where it stopped, under the same validator', async () => {
    const files = one();
    const region = await FakeSource.start(files);
    region.fault = (request, response, count) => {
      if (count === 1) cutAfter(region, request.url!, 1_000_000, response);
      return count === 1;
    };
    const store = new MemoryStore();
    const progress = await filled(agentWith(store), manifestOf(files, [source('region', 'r1', region)]));
    expect(progress).toMatchObject({ assetsDone: 1, failures: [], bytesBySource: { region: 3_000_000 } });
    expect(region.asked).toHaveLength(2);
    expect(Number(/\d+/.exec(region.asked[1]!.range!)![0])).toBeGreaterThan(0);
    expect(store.bodies.get('/large.bin')!.bytes.equals(files.get('/large.bin')!)).toBe(true);
    expect(store.abandoned).toBe(0);
  });

  test('the next source finishes what the first began and can not go on with', async () => {
    const files = one();
    const [region, origin] = [await FakeSource.start(files), await FakeSource.start(files)];
    region.fault = (request, response, count) => {
      if (count === 1) cutAfter(region, request.url!, 2_000_000, response);
      else response.writeHead(503).end();
      return true;
    };
    const store = new MemoryStore();
    const progress = await filled(
      agentWith(store),
      manifestOf(files, [source('region', 'r1', region), source('origin', 'origin', origin)]),
    );
    expect(progress.assetsDone).toBe(1);
    expect(progress.bytesBySource.region + progress.bytesBySource.origin).toBe(3_000_000);
    expect(progress.bytesBySource.region).toBeGreaterThan(0);
    expect(region.asked).toHaveLength(4);
    expect(store.bodies.get('/large.bin')!.bytes.equals(files.get('/large.bin')!)).toBe(true);
  });

  test('a version that changes in mid-body is never mixed with the old one', async () => {
    const files = one();
    const manifest = manifestOf(files, []);
    const region = await FakeSource.start(new Map(files));
    region.fault = (request, response, count) => {
      if (count > 1) return false;
      cutAfter(region, request.url!, 1_000_000, response);
      region.files.set(request.url!, patterned(3_000_000, 8));
      return true;
    };
    const store = new MemoryStore();
    const progress = await filled(agentWith(store), { ...manifest, sources: [source('region', 'r1', region)] });
    expect(progress.failures).toEqual([{ path: '/large.bin', why: 'region r1: changed (If-Match failed)' }]);
    expect(store.bodies.size).toBe(0);
    expect(store.abandoned).toBe(1);
  });

  test('a source without validators that mixes versions is caught by the digest, and its bytes are not stored', async () => {
    const files = one();
    const manifest = manifestOf(files, []);
    const region = await FakeSource.start(new Map([['/large.bin', patterned(3_000_000, 8)]]));
    region.fault = (request, response) => {
      const from = Number(/\d+/.exec(request.headers.range ?? '0')![0]);
      const whole = region.files.get(request.url!)!;
      const range = from === 0 ? {} : { 'content-range': `bytes ${from}-${whole.length - 1}/${whole.length}` };
      response
        .writeHead(from === 0 ? 200 : 206, { 'content-length': whole.length - from, ...range })
        .end(whole.subarray(from));
      return true;
    };
    const store = new MemoryStore();
    const progress = await filled(agentWith(store), { ...manifest, sources: [source('region', 'r1', region)] });
    expect(progress.failures).toEqual([{ path: '/large.bin', why: 'region r1: corrupt' }]);
    expect(store.bodies.size).toBe(0);
  });

  test('a corrupt body is dropped and the next source asked', async () => {
    const files = one();
    const [region, origin] = [await FakeSource.start(files), await FakeSource.start(files)];
    region.fault = (request, response) => {
      const wrong = Buffer.from(files.get(request.url!)!);
      wrong[1_500_000]! ^= 1;
      response
        .writeHead(200, { etag: region.etagOf(files.get(request.url!)!), 'content-length': wrong.length })
        .end(wrong);
      return true;
    };
    const store = new MemoryStore();
    const progress = await filled(
      agentWith(store),
      manifestOf(files, [source('region', 'r1', region), source('origin', 'origin', origin)]),
    );
    expect(progress).toMatchObject({
      assetsDone: 1,
      bytesDone: 3_000_000,
      bytesBySource: { region: 3_000_000, origin: 3_000_000 },
    });
    expect(store.bodies.get('/large.bin')!.bytes.equals(files.get('/large.bin')!)).toBe(true);
    expect(region.asked).toHaveLength(1);
    expect(store.abandoned).toBe(1);
  });

  test.each([
    ['another etag', 200, { etag: '"other"' }, 'changed'],
    ['another length', 200, { 'content-length': '5' }, 'changed'],
    ['a coding', 200, { 'content-encoding': 'gzip' }, 'changed'],
    ['404', 404, {}, 'refused (404)'],
    ['503', 503, {}, 'unwilling (503)'],
    ['a redirect', 307, { location: 'http://127.0.0.1:1/' }, 'unwilling (307)'],
    ['206 unasked', 206, {}, 'refused (206)'],
  ])('%s is not taken for the asset', async (_, status, fields, why) => {
    const files = one(10);
    const region = await FakeSource.start(files);
    region.fault = (_request, response) => {
      response.writeHead(status, fields as Record<string, string>);
      response.end(status === 200 && 'content-length' in fields ? 'short' : '0123456789');
      return true;
    };
    const store = new MemoryStore();
    const progress = await filled(agentWith(store), manifestOf(files, [source('region', 'r1', region)]));
    expect(progress).toMatchObject({ state: 'done', assetsDone: 0 });
    expect(progress.failures[0]!.why).toContain(why);
    expect(store.bodies.size).toBe(0);
  });

  test('a body longer than the catalogue says is dropped', async () => {
    const files = one(10);
    const region = await FakeSource.start(files);
    region.fault = (_request, response) => {
      response.writeHead(200, { 'transfer-encoding': 'chunked' });
      response.end(Buffer.alloc(11));
      return true;
    };
    const store = new MemoryStore();
    const progress = await filled(agentWith(store), manifestOf(files, [source('region', 'r1', region)]));
    expect(progress.failures[0]!.why).toContain('more than 10 bytes');
    expect(store.abandoned).toBe(1);
  });

  test('a stalled body and a silent server are left within their deadlines', async () => {
    const files = one(2_000_000);
    const [stalled, silent, origin] = [
      await FakeSource.start(files),
      await FakeSource.start(files),
      await FakeSource.start(files),
    ];
    stalled.fault = (request, response) => {
      const whole = files.get(request.url!)!;
      response.writeHead(200, { etag: stalled.etagOf(whole), 'content-length': whole.length });
      response.write(whole.subarray(0, 100_000));
      return true;
    };
    silent.fault = () => true;
    const store = new MemoryStore();
    const limits = { attempts: 1, headMillis: 200, betweenBytesMillis: 200 };
    const progress = await filled(
      agentWith(store, { limits, clock: systemClock }),
      manifestOf(files, [
        source('region', 'r1', stalled),
        source('region', 'r2', silent),
        source('origin', 'origin', origin),
      ]),
    );
    expect(progress).toMatchObject({ assetsDone: 1, bytesBySource: { origin: 1_900_000 } });
    expect(store.bodies.get('/large.bin')!.bytes.equals(files.get('/large.bin')!)).toBe(true);
  });

  test('everything down is listed, with what each source said', async () => {
    const files = one(10);
    const region = await FakeSource.start(files);
    const dead = source('region', 'r1', region);
    await region.stop();
    const progress = await filled(agentWith(new MemoryStore()), manifestOf(files, [dead]));
    expect(progress.failures).toEqual([{ path: '/large.bin', why: 'region r1: unreachable (ECONNREFUSED)' }]);
  });
});

describe('a fault of the store', () => {
  test('a refused commit and a failing write are listed and do not stop the rest', async () => {
    const files = film();
    const region = await FakeSource.start(files);
    const refusing = new MemoryStore();
    refusing.refuse = 'no-space';
    const failing = new MemoryStore();
    failing.throwOnWrite = true;
    for (const [store, why] of [
      [refusing, 'store: no-space'],
      [failing, 'store: volume-failed'],
    ] as const) {
      const progress = await filled(agentWith(store), manifestOf(files, [source('region', 'r1', region)]));
      expect(progress.failures.map((failure) => failure.why)).toEqual(Array(6).fill(why));
      expect(progress.state).toBe('done');
    }
    expect(failing.abandoned).toBe(6);
  });

  test('a store that throws fails that asset alone', async () => {
    const files = film();
    const region = await FakeSource.start(files);
    const store = new MemoryStore();
    const held = store.held;
    store.held = (path) => (path.includes('2') ? Promise.reject(new Error('index closed')) : held(path));
    const progress = await filled(agentWith(store), manifestOf(files, [source('region', 'r1', region)]));
    expect(progress.assetsDone).toBe(5);
    expect(progress.failures).toEqual([{ path: '/film/2.m4s', why: 'internal: Error: index closed' }]);
  });
});

describe('peers', () => {
  const elected = (manifest: PlannedManifest, fetcher: string): PlannedManifest => ({
    ...manifest,
    assets: manifest.assets.map((asset) => ({ ...asset, fetcher })),
  });

  test('a peer that has it is asked first, with only-if-cached, and nobody else is', async () => {
    const files = film();
    const [peer, region] = [await FakeSource.start(files), await FakeSource.start(files)];
    const manifest = manifestOf(files, [source('region', 'r1', region), source('peer', 'a2', peer)]);
    const progress = await filled(agentWith(new MemoryStore()), elected(manifest, 'a1'));
    expect(progress.bytesBySource).toMatchObject({ region: 0, peer: progress.bytesPlanned });
    expect(peer.asked.every(({ onlyIfCached }) => onlyIfCached)).toBe(true);
    expect(region.asked).toEqual([]);
  });

  test('the elected one goes to the region as soon as no peer has it', async () => {
    const files = film();
    const [peer, region] = [await FakeSource.start(), await FakeSource.start(files)];
    const manifest = manifestOf(files, [source('peer', 'a2', peer), source('region', 'r1', region)]);
    const progress = await filled(agentWith(new MemoryStore()), elected(manifest, 'a1'));
    expect(progress).toMatchObject({ assetsDone: 6, bytesBySource: { peer: 0, region: progress.bytesPlanned } });
    expect(region.asked.some(({ onlyIfCached }) => onlyIfCached)).toBe(false);
  });

  test('the others wait for the elected one and take it from there', async () => {
    const files = film();
    const [peer, region] = [await FakeSource.start(), await FakeSource.start(files)];
    peer.fault = (request, _response, count) => {
      if (count === 3) peer.files.set(request.url!, files.get(request.url!)!); // its own fetch is done now
      return false;
    };
    const manifest = manifestOf(files, [source('peer', 'a2', peer), source('region', 'r1', region)]);
    const progress = await filled(agentWith(new MemoryStore()), elected(manifest, 'a2'));
    expect(progress).toMatchObject({ assetsDone: 6, bytesBySource: { region: 0 } });
    expect(region.asked).toEqual([]);
    expect(peer.asked).toHaveLength(18);
  });

  test('an elected one that never has it is waited for in vain for the patience, then the own appliance goes', async () => {
    const files = one(10);
    const [peer, region] = [await FakeSource.start(), await FakeSource.start(files)];
    const manifest = manifestOf(files, [source('peer', 'a2', peer), source('region', 'r1', region)]);
    const progress = await filled(
      agentWith(new MemoryStore(), { limits: { patienceMillis: 4000 } }),
      elected(manifest, 'a2'),
    );
    expect(progress).toMatchObject({ assetsDone: 1, bytesBySource: { region: 10 } });
    expect(peer.asked.length).toBeGreaterThanOrEqual(4);
  });

  test('an elected one that goes on giving other assets is waited for beyond the patience', async () => {
    const files = film();
    const names = [...files.keys()];
    const [peer, region] = [await FakeSource.start(), await FakeSource.start(files)];
    peer.fault = (request, _response, count) => {
      // Asked after 0, 250, 750, 1750, 3750, 8750, 13750, 18750 ms; the last is ready long after the one before it.
      const i = names.indexOf(request.url!);
      if (count === (i === 5 ? 8 : i + 2)) peer.files.set(request.url!, files.get(request.url!)!);
      return false;
    };
    const manifest = manifestOf(files, [source('peer', 'a2', peer), source('region', 'r1', region)]);
    const progress = await filled(
      agentWith(new MemoryStore(), { limits: { patienceMillis: 6500 } }),
      elected(manifest, 'a2'),
    );
    expect(progress).toMatchObject({ assetsDone: 6, bytesBySource: { region: 0 } });
    expect(region.asked).toEqual([]);
  });

  test('a dead elected one is passed over for all its assets together', async () => {
    const files = film();
    const [peer, region] = [await FakeSource.start(), await FakeSource.start(files)];
    const manifest = manifestOf(files, [source('peer', 'a2', peer), source('region', 'r1', region)]);
    await peer.stop();
    const progress = await filled(
      agentWith(new MemoryStore(), { limits: { patienceMillis: 4000 } }),
      elected(manifest, 'a2'),
    );
    expect(progress).toMatchObject({ assetsDone: 6, failures: [], bytesBySource: { region: progress.bytesPlanned } });
  });

  test('three appliances of a site fetch each byte from the region once', async () => {
    const files = new Map([...film(), ...one()]);
    const region = await FakeSource.start(files);
    const ids = ['a1', 'a2', 'a3'];
    const stores = ids.map(() => new MemoryStore());
    const doors: FakeSource[] = [];
    for (const store of stores) {
      const door = await FakeSource.start();
      door.fault = (request) => {
        const body = store.bodies.get(request.url!);
        if (body !== undefined) door.files.set(request.url!, body.bytes);
        return false;
      };
      doors.push(door);
    }
    const agents = stores.map((store, i) => agentWith(store, { ownAppliance: ids[i]! }));
    const manifest = manifestOf(files, []);
    await Promise.all(
      agents.map((agent, i) => {
        const peers = doors.map((door, j) => source('peer', ids[j]!, door)).filter((_, j) => j !== i);
        return filled(agent, { ...manifest, appliance: ids[i]!, sources: [...peers, source('region', 'r1', region)] });
      }),
    );
    for (const store of stores)
      for (const [path, bytes] of files) expect(store.bodies.get(path)!.bytes.equals(bytes)).toBe(true);
    expect(region.bytesSent).toBe([...files.values()].reduce((sum, { length }) => sum + length, 0));
    expect(region.asked).toHaveLength(files.size);
  });
});

describe('window, change and end', () => {
  test('outside the window it is paused, and begins by itself when the window opens', async () => {
    const files = one(10);
    const region = await FakeSource.start(files);
    const clock = new VirtualClock(Date.parse('2026-01-10T20:00:00Z'));
    const agent = agentWith(new MemoryStore(), { clock });
    agent.obey(manifestOf(files, [source('region', 'r1', region)], { now: false }));
    expect(agent.progress()).toMatchObject({ state: 'paused', assetsDone: 0 });
    clock.advance(6 * 3_600_000 - 1000);
    expect(agent.progress().state).toBe('paused');
    clock.advance(1000);
    expect(agent.progress().state).toBe('filling');
    await agent.settled();
    expect(agent.progress()).toMatchObject({ state: 'done', assetsDone: 1 });
  });

  test('the window of the manifest goes before the own one, and --now before both', async () => {
    const files = one(10);
    const region = await FakeSource.start(files);
    const clock = new VirtualClock(Date.parse('2026-01-10T20:00:00Z'));
    const agent = agentWith(new MemoryStore(), { clock, window: { zone: 'UTC', fromMinute: 0, toMinute: 0 } });
    const manifest = manifestOf(files, [source('region', 'r1', region)], {
      now: false,
      window: { zone: 'Europe/Berlin', fromMinute: 120, toMinute: 840 },
    });
    agent.obey(manifest);
    expect(agent.progress().state).toBe('paused');
    expect(await filled(agent, { ...manifest, version: 2, now: true })).toMatchObject({
      manifestVersion: 2,
      state: 'done',
    });
  });

  test('a new manifest goes on with what is in flight, drops what it does not name, and takes off its pins', async () => {
    const files = film();
    const [kept, dropped] = [...files.keys()];
    const region = await FakeSource.start(files);
    const held = new Map<string, () => void>();
    const bothAsked = Promise.withResolvers<void>();
    const droppedEnds = Promise.withResolvers<boolean>();
    region.fault = (request, response, count) => {
      if (count > 1) return false;
      const whole = files.get(request.url!)!;
      response.writeHead(200, { etag: region.etagOf(whole), 'content-length': whole.length });
      response.write(whole.subarray(0, 1000));
      held.set(request.url!, () => response.end(whole.subarray(1000)));
      if (request.url === dropped) response.on('close', () => droppedEnds.resolve(response.writableFinished));
      if (held.size === 2) bothAsked.resolve();
      return true;
    };
    const store = new MemoryStore();
    const agent = agentWith(store, { limits: { parallel: 2 } });
    const manifest = manifestOf(files, [source('region', 'r1', region)]);
    agent.obey({ ...manifest, assets: manifest.assets.slice(0, 2) });
    await bothAsked.promise;
    agent.obey({ ...manifest, version: 2, assets: manifest.assets.slice(0, 1) });
    expect(await droppedEnds.promise).toBe(false);
    held.get(kept!)!();
    await agent.settled();
    expect(agent.progress()).toMatchObject({ manifestVersion: 2, assetsDone: 1, assetsPlanned: 1 });
    expect(region.count(kept!)).toBe(1);
    expect(store.bodies.has(kept!)).toBe(true);
    expect(store.bodies.has(dropped!)).toBe(false);
    expect([store.pins.get(kept!), store.pins.get(dropped!)]).toEqual([true, false]);
  });

  test('closing in mid-body abandons the write and leaves nothing running', async () => {
    const files = one();
    const region = await FakeSource.start(files);
    const begun = Promise.withResolvers<void>();
    region.fault = (request, response) => {
      const whole = files.get(request.url!)!;
      response.writeHead(200, { etag: region.etagOf(whole), 'content-length': whole.length });
      response.write(whole.subarray(0, 100_000), () => begun.resolve());
      return true;
    };
    const store = new MemoryStore();
    const agent = agentWith(store);
    agent.obey(manifestOf(files, [source('region', 'r1', region)]));
    await begun.promise;
    while (store.begun.length === 0) await new Promise(setImmediate);
    await Promise.all([agent.close(), agent.close()]);
    expect(store.abandoned).toBe(1);
    expect(store.bodies.size).toBe(0);
    agent.obey(manifestOf(film(), []));
    expect(agent.progress().manifestVersion).toBe(1);
  });

  test('an empty manifest is done, no manifest is idle', async () => {
    const agent = agentWith(new MemoryStore());
    expect(agent.progress()).toMatchObject({ state: 'idle', manifestVersion: 0 });
    expect(await filled(agent, manifestOf(new Map(), []))).toMatchObject({ state: 'done', assetsPlanned: 0 });
  });
});
