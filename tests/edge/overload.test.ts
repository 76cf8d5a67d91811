/**
 * A real worker whose event loop really stands still for moments (its process is stopped and continued), or whose memory
 * is over a budget that is set low: what it still serves, and what it does with the rest.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { cacheStatus, Edge, Origin, rawClient, within } from './harness.ts';

const NEXT = 'https://next.example.org/base';
const FRESH = { headers: { 'Cache-Control': 'max-age=600', ETag: '"v"' }, body: 'here' };
/** Expired at once, and may stand in for a failing origin. */
const STALE = { headers: { 'Cache-Control': 'max-age=0, stale-if-error=600', ETag: '"v"' }, body: 'stale' };

const origin = new Origin();
beforeAll(() => origin.start());
afterAll(() => origin.stop());
const edges: Edge[] = [];
const stalls: Stalls[] = [];
afterEach(async () => {
  for (const one of stalls.splice(0)) one.end();
  for (const edge of edges.splice(0)) await edge.stop();
});

async function edgeWith(...more: string[]): Promise<Edge> {
  const edge = await Edge.start({ upstreams: [origin.url], disk: false, more });
  edges.push(edge);
  return edge;
}

/** Stops the worker for a moment, again and again, until it is ended. */
class Stalls {
  readonly #pid: number;
  readonly #timer: NodeJS.Timeout;
  #stopped = false;

  constructor(pid: number, millis: number) {
    this.#pid = pid;
    this.#timer = setInterval(() => this.#turn(), millis);
    stalls.push(this);
  }

  end(): void {
    clearInterval(this.#timer);
    if (this.#stopped) process.kill(this.#pid, 'SIGCONT');
    this.#stopped = false;
  }

  #turn(): void {
    this.#stopped = !this.#stopped;
    process.kill(this.#pid, this.#stopped ? 'SIGSTOP' : 'SIGCONT');
  }
}

/** Stalls its only worker until it says that it has reached the level, and goes on with it. */
async function overloaded(edge: Edge, level: number): Promise<void> {
  const [pid] = await edge.workers();
  new Stalls(pid!, 150);
  const reached = async () => {
    while ((await edge.metric('nearcast_edge_overload_level')) !== level);
  };
  await within(reached(), `level ${level}`, 20_000);
}

describe('an edge whose event loop is late', () => {
  test('serves hits, sheds misses to the next target once, gives a stale response, and says so', async () => {
    origin.on('/hit', FRESH);
    origin.on('/stale', STALE);
    origin.on('/new', FRESH);
    const edge = await edgeWith('--shed-misses-delay', '50ms', '--next-target', NEXT);
    await edge.get('/hit');
    await edge.get('/stale');
    await overloaded(edge, 1);

    const hit = await edge.get('/hit');
    expect([hit.status, hit.text, cacheStatus(hit).hit]).toEqual([200, 'here', true]);
    const stale = await edge.get('/stale');
    expect([stale.status, stale.text, cacheStatus(stale).parameters.get('detail')]).toEqual([200, 'stale', 'overload']);
    const away = await edge.get('/new?a=b');
    expect(away.status).toBe(307);
    expect(away.field('location')).toBe(`${NEXT}/new?a=b&nearcast-redirected=1`);
    expect(cacheStatus(away).parameters.get('detail')).toBe('overload');
    const again = await edge.get('/new?a=b&nearcast-redirected=1');
    expect([again.status, again.field('retry-after'), again.field('location')]).toEqual([503, '5', undefined]);
    expect((await edge.ask('/new', { method: 'POST', body: 'x' })).status).toBe(503);
    // The mark of a redirect is no part of the key.
    expect(cacheStatus(await edge.get('/hit?nearcast-redirected=1')).hit).toBe(true);
    expect(origin.hits('/new') + origin.hits('/new?a=b')).toBe(0);

    expect(edge.output()).toMatch(
      /"sheds":"misses".*"because":"event-loop-delay","valueMillis":\d+,"thresholdMillis":50/,
    );
    const counted = async () => {
      while ((await edge.metric('nearcast_edge_shed_requests_total{answer="unavailable"}')) !== 2);
    };
    await within(counted(), 'the counters');
    expect(await edge.metric('nearcast_edge_shed_requests_total{answer="redirected"}')).toBe(1);
    expect(await edge.metric('nearcast_edge_shed_requests_total{answer="stale"}')).toBe(1);
    expect(await edge.metric('nearcast_edge_own_errors_total')).toBe(0);
  }, 60_000);

  test('far too late, sheds hits too, and forwards again when it has calmed down', async () => {
    origin.on('/hit-2', FRESH);
    const edge = await edgeWith('--shed-all-delay', '50ms');
    await edge.get('/hit-2');
    await overloaded(edge, 2);
    const shed = await edge.get('/hit-2');
    expect([shed.status, shed.field('retry-after')]).toEqual([503, '5']);
    for (const one of stalls.splice(0)) one.end();
    const calm = async () => {
      while ((await edge.metric('nearcast_edge_overload_level')) !== 0);
    };
    await within(calm(), 'calm', 20_000);
    expect((await edge.get('/hit-2')).text).toBe('here');
  }, 60_000);
});

test('a redirected client is served like any other, and its mark goes neither upstream nor into the key', async () => {
  const edge = await edgeWith();
  origin.on('/marked', FRESH);
  expect((await edge.get('/marked?nearcast-redirected=1')).text).toBe('here');
  expect(origin.hits('/marked')).toBe(1);
  expect(cacheStatus(await edge.get('/marked')).hit).toBe(true);
});

describe('an edge whose memory is short', () => {
  const level = (edge: Edge, wanted: number) =>
    within(
      (async () => {
        while ((await edge.metric('nearcast_edge_memory_level')) !== wanted);
      })(),
      `memory level ${wanted}`,
      20_000,
    );
  const get = (edge: Edge, path: string) => `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${edge.port}\r\n\r\n`;

  test('keeps no connection: answers close theirs, idle ones are closed', async () => {
    origin.on('/kept', FRESH);
    const edge = await edgeWith('--memory-limit', '1MiB', '--memory-idle-percent', '0', '--memory-refuse-percent', '0');
    const idle = await rawClient(edge.port);
    idle.send(get(edge, '/kept'));
    expect(await idle.until((text) => text.endsWith('here'))).not.toMatch(/connection: close/i);
    await level(edge, 2);
    expect((await within(idle.closed(), 'the idle connection closing')).how).toBe('end');
    const asking = await rawClient(edge.port);
    asking.send(get(edge, '/kept'));
    const { text } = await within(asking.closed(), 'the connection closing');
    expect(text).toMatch(/connection: close/i);
    expect(text).toMatch(/here$/);
    expect(edge.output()).toMatch(/"connections":"no-keep-alive".*"because":"memory"/);
  }, 60_000);

  test('refuses new connections, and keeps serving those it has', async () => {
    origin.on('/old', FRESH);
    const options = ['--memory-limit', '1MiB', '--memory-idle-percent', '0', '--memory-close-percent', '0'];
    const edge = await edgeWith(...options);
    await edge.get('/old');
    await level(edge, 3);
    const fresh = await rawClient(edge.port).catch(() => undefined);
    if (fresh !== undefined) expect((await within(fresh.closed(), 'the refusal')).how).toBe('reset');
    const refused = async () => {
      while (((await edge.metric('nearcast_edge_connections_refused_total')) ?? 0) === 0);
    };
    await within(refused(), 'the counter');
  }, 60_000);
});
