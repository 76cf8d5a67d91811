import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FillManifest, Heartbeat, HeartbeatAnswer, PurgeEntry } from '../control-plane/api.ts';
import { type Timer, VirtualClock } from '../runtime/clock.ts';
import { silentLog } from '../runtime/log.ts';
import { ControlLink, type ControlLinkOptions } from './control-link.ts';

/** A control plane that answers by hand: every request waits until the test takes it. */
class ByHand {
  readonly sockets = new Set<Socket>();
  readonly #waiting: { path: string; body: string; response: ServerResponse; request: IncomingMessage }[] = [];
  #taker: (() => void) | undefined;
  #server: Server;
  port = 0;

  constructor() {
    this.#server = createServer(async (request, response) => {
      let body = '';
      for await (const chunk of request) body += String(chunk);
      this.#waiting.push({ path: request.url!, body, response, request });
      this.#taker?.();
    });
    this.#server.on('connection', (socket) => this.sockets.add(socket));
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(this.port, '127.0.0.1', resolve));
    this.port = (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async take() {
    if (this.#waiting.length === 0) await new Promise<void>((resolve) => (this.#taker = resolve));
    this.#taker = undefined;
    return this.#waiting.shift()!;
  }

  async beat(answer: Partial<HeartbeatAnswer> | number = {}): Promise<Heartbeat> {
    const { body, response } = await this.take();
    if (typeof answer === 'number') response.writeHead(answer).end('no');
    else response.end(JSON.stringify({ snapshot: 1, state: 'healthy', purges: [], manifestVersion: 0, ...answer }));
    return JSON.parse(body) as Heartbeat;
  }
}

/** Counts the link's timers: a deadline for each heartbeat, then the wait for the next one. */
class WatchedClock extends VirtualClock {
  planned = 0;

  override after(millis: number, callback: () => void): Timer {
    if (millis !== MANIFEST_DEADLINE_MILLIS) this.planned++;
    return super.after(millis, callback);
  }
}

const MANIFEST_DEADLINE_MILLIS = 15_000;
const PURGE: PurgeEntry = { number: 3, selector: { kind: 'everything' }, soft: true, atMillis: 0 };

describe('the control link', () => {
  let clock: WatchedClock;
  let control: ByHand;
  let link: ControlLink;
  let purgeLogNumber: number;
  let collected: number;
  let popularity: Heartbeat['popularity'];

  function make(more: Partial<ControlLinkOptions> = {}): ControlLink {
    link = new ControlLink({
      control: `http://127.0.0.1:${control.port}/`,
      appliance: 'a 1',
      clock,
      log: silentLog(),
      collect: () => {
        collected++;
        return { purgeLogNumber, answers: { total: 10, errors: 1 }, popularity } as unknown as Heartbeat;
      },
      applyPurges: async () => {},
      takeManifest: () => {},
      ...more,
    });
    return link;
  }

  beforeEach(async () => {
    clock = new WatchedClock();
    control = new ByHand();
    await control.start();
    [purgeLogNumber, collected, popularity] = [0, 0, undefined];
  });
  afterEach(async () => {
    await link.close();
    await control.stop();
  });
  /** Until the link has dealt with what it was given. */
  const settled = async (done: () => boolean) => {
    while (!done()) await new Promise((resolve) => setImmediate(resolve));
  };

  /** Until it has taken an answer in and waits for its next heartbeat. */
  const idle = () => settled(() => clock.planned % 2 === 0);

  it('beats once a second over one connection, with its token', async () => {
    make({ token: 'secret' }).start();
    const { path, request, response } = await control.take();
    expect([path, request.headers.authorization]).toEqual(['/v1/appliances/a%201/heartbeat', 'Bearer secret']);
    response.end(JSON.stringify({ snapshot: 4, state: 'suspect', purges: [], manifestVersion: 0 }));
    await idle();
    expect([link.snapshot, link.state]).toEqual([4, 'suspect']);
    for (let i = 0; i < 3; i++) {
      clock.advance(1000);
      await control.beat();
      await idle();
    }
    expect(collected).toBe(4);
    expect(control.sockets.size).toBe(1);
  });

  it('hands on where the standby is, once, and nothing that is no URL', async () => {
    const standbys: string[] = [];
    make({ takeStandby: (url) => standbys.push(url) }).start();
    for (const standby of [
      'https://cdn.example.org/',
      'nowhere',
      'https://cdn.example.org/',
      'https://b.example.org',
    ]) {
      await control.beat({ standby });
      await idle();
      clock.advance(1000);
    }
    expect(standbys).toEqual(['https://cdn.example.org', 'https://b.example.org']);
  });

  it('applies purges and acknowledges them at once', async () => {
    const applied: number[][] = [];
    make({
      applyPurges: async (entries) => {
        applied.push(entries.map(({ number }) => number));
        purgeLogNumber = 3;
      },
    }).start();
    await control.beat({ purges: [PURGE] });
    expect((await control.beat({ purges: [PURGE] })).purgeLogNumber).toBe(3);
    await idle();
    expect(applied).toEqual([[3]]);
  });

  it('asks again for purges that could not be applied', async () => {
    let tries = 0;
    make({
      applyPurges: async () => {
        if (++tries === 1) throw new Error('disk');
        purgeLogNumber = 3;
      },
    }).start();
    await control.beat({ purges: [PURGE] });
    await settled(() => tries === 1);
    await idle();
    clock.advance(1000);
    expect((await control.beat({ purges: [PURGE] })).purgeLogNumber).toBe(0);
    expect((await control.beat()).purgeLogNumber).toBe(3);
  });

  it('goes on beating while purges are being applied', async () => {
    let release = () => {};
    let begun = 0;
    make({
      applyPurges: () => {
        begun++;
        return new Promise<void>((resolve) => (release = resolve));
      },
    }).start();
    await control.beat({ purges: [PURGE] });
    await settled(() => begun === 1);
    await idle();
    clock.advance(1000);
    await control.beat({ purges: [PURGE] });
    expect(begun).toBe(1);
    release();
    await control.beat();
  });

  it('fetches a manifest when its version differs, once', async () => {
    const taken: FillManifest[] = [];
    make({ takeManifest: (manifest) => void taken.push(manifest) }).start();
    await control.beat({ manifestVersion: 7 });
    const { path, response } = await control.take();
    expect(path).toBe('/v1/appliances/a%201/manifest');
    response.end(JSON.stringify({ version: 7, appliance: 'a 1', now: true, assets: [], sources: [] }));
    await settled(() => taken.length === 1);
    await idle();
    clock.advance(1000);
    await control.beat({ manifestVersion: 7 });
    await idle();
    clock.advance(1000);
    await control.beat({ manifestVersion: 8 });
    expect((await control.take()).path).toContain('/manifest');
    expect(taken.map(({ version }) => version)).toEqual([7]);
  });

  it('refuses a manifest of another appliance', async () => {
    const taken: FillManifest[] = [];
    make({ takeManifest: (manifest) => void taken.push(manifest) }).start();
    await control.beat({ manifestVersion: 7 });
    (await control.take()).response.end(
      JSON.stringify({ version: 7, appliance: 'b1', now: true, assets: [], sources: [] }),
    );
    await idle();
    clock.advance(1000);
    await control.beat({ manifestVersion: 7 });
    expect((await control.take()).path).toContain('/manifest'); // tries again
    expect(taken).toEqual([]);
  });

  it('carries what it counted while nobody listened to the next heartbeat', async () => {
    make();
    popularity = { '/a': [1, 100] };
    link.start();
    await control.beat(500);
    await idle();
    popularity = { '/a': [2, 50], '/b': [1, 1] };
    clock.advance(1000);
    const later = await control.beat();
    expect(later.answers).toEqual({ total: 20, errors: 2 });
    expect(later.popularity).toEqual({ '/a': [3, 150], '/b': [1, 1] });
    await idle();
    popularity = undefined;
    clock.advance(1000);
    expect((await control.beat()).answers).toEqual({ total: 10, errors: 1 });
  });

  it('survives a control plane that is away, backs off to 5 s, and connects again', async () => {
    make();
    await control.stop();
    link.start();
    for (const millis of [1000, 1000, 2000, 3000]) {
      await idle();
      expect(link.connected).toBe(false);
      const before = collected;
      clock.advance(millis - 1);
      expect(collected).toBe(before);
      clock.advance(1);
      expect(collected).toBe(before + 1);
    }
    await idle();
    const before = collected;
    clock.advance(4900);
    expect(collected).toBe(before);
    await control.start();
    clock.advance(100);
    await control.beat();
    await idle();
  });

  it('gives up on an answer that does not come in 2 s', async () => {
    make().start();
    await control.take();
    clock.advance(2000);
    await idle();
    expect(link.connected).toBe(false);
    clock.advance(1000);
    await control.beat();
    await idle();
  });

  it.each(['{', 'null', '{"snapshot": "x"}', '[]'])('takes %j for no answer', async (text) => {
    make().start();
    (await control.take()).response.end(text);
    await settled(() => link.connected === false);
  });
});
