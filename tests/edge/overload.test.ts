/**
 * A real worker whose event loop really stands still for moments (its process is stopped and continued), or whose memory
 * is over a budget that is set low: what it still serves, and what it does with the rest. A level takes three of its
 * readings, one a second: the tests wait side by side.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cacheStatus, Edge, eventually, Origin, rawClient, within } from './harness.ts';

const NEXT = 'https://next.example.org/base';
const FRESH = { headers: { 'Cache-Control': 'max-age=600', ETag: '"v"' }, body: 'here' };
/** Expired at once, and may stand in for a failing origin. */
const STALE = { headers: { 'Cache-Control': 'max-age=0, stale-if-error=600', ETag: '"v"' }, body: 'stale' };

const origin = new Origin();
beforeAll(() => origin.start());
afterAll(() => origin.stop());
const edges: Edge[] = [];
const stalls = new Set<Stalls>();
afterAll(async () => {
  for (const one of stalls) one.end();
  await Promise.all(edges.map((edge) => edge.stop()));
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
    stalls.add(this);
  }

  end(): void {
    clearInterval(this.#timer);
    stalls.delete(this);
    if (this.#stopped) process.kill(this.#pid, 'SIGCONT');
    this.#stopped = false;
  }

  #turn(): void {
    this.#stopped = !this.#stopped;
    process.kill(this.#pid, this.#stopped ? 'SIGSTOP' : 'SIGCONT');
  }
}

/** Stalls its only worker, and goes on with it, until it has said that it sheds such requests. */
async function overloaded(edge: Edge, sheds: 'misses' | 'all'): Promise<Stalls> {
  const [pid] = await edge.workers();
  const one = new Stalls(pid!, 150);
  await edge.wrote(new RegExp(`"sheds":"${sheds}"`), 20_000);
  return one;
}

test.concurrent('an edge whose event loop is late serves hits, sheds misses to the next target once, gives a stale response, says so, and forwards again when it has calmed down', async () => {
  origin.on('/hit', FRESH);
  origin.on('/stale', STALE);
  origin.on('/new', FRESH);
  origin.on('/marked', FRESH);
  const edge = await edgeWith('--shed-misses-delay', '50ms', '--next-target', NEXT);
  await edge.get('/hit');
  await edge.get('/stale');
  // Who has been sent on is served like any other; the mark goes neither upstream nor into the key.
  expect((await edge.get('/marked?nearcast-redirected=1')).text).toBe('here');
  expect(origin.hits('/marked')).toBe(1);
  expect(cacheStatus(await edge.get('/marked')).hit).toBe(true);
  const stalled = await overloaded(edge, 'misses');

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
  expect(cacheStatus(await edge.get('/hit?nearcast-redirected=1')).hit).toBe(true);
  expect(origin.hits('/new') + origin.hits('/new?a=b')).toBe(0);
  expect(edge.output()).toMatch(
    /"sheds":"misses".*"because":"event-loop-delay","valueMillis":\d+,"thresholdMillis":50/,
  );

  stalled.end();
  await edge.wrote(/"sheds":"none"/, 20_000);
  expect((await edge.get('/new')).text).toBe('here');
  const unavailable = () => edge.metric('nearcast_edge_shed_requests_total{answer="unavailable"}');
  await eventually(async () => (await unavailable()) === 2, 'the counters');
  expect(await edge.metric('nearcast_edge_shed_requests_total{answer="redirected"}')).toBe(1);
  expect(await edge.metric('nearcast_edge_shed_requests_total{answer="stale"}')).toBe(1);
  expect(await edge.metric('nearcast_edge_overload_level')).toBe(0);
  expect(await edge.metric('nearcast_edge_own_errors_total')).toBe(0);
}, 60_000);

test.concurrent('an edge whose memory is short keeps no connection, refuses new ones and answers on those it has; far too late, it sheds hits too', async () => {
  origin.on('/kept', FRESH);
  const edge = await edgeWith('--memory-limit', '1MiB', '--shed-all-delay', '50ms', '--header-timeout', '60s');
  const get = `GET /kept HTTP/1.1\r\nHost: 127.0.0.1:${edge.port}\r\n\r\n`;
  const [idle, asking, later] = await Promise.all([1, 2, 3].map(() => rawClient(edge.port)));
  idle!.send(get);
  expect(await idle!.until((text) => text.endsWith('here'))).not.toMatch(/connection: close/i);
  // Half a head: these are not idle, and the rest comes when memory is short.
  for (const one of [asking!, later!]) one.send(get.slice(0, -2));
  await edge.wrote(/"connections":"refuse".*"because":"memory"/, 20_000);
  expect((await within(idle!.closed(), 'the idle connection closing')).how).toBe('end');
  const fresh = await rawClient(edge.port).catch(() => undefined);
  if (fresh !== undefined) expect((await within(fresh.closed(), 'the refusal')).how).toBe('reset');
  asking!.send('\r\n');
  const { text } = await within(asking!.closed(), 'the connection closing');
  expect(text).toMatch(/^HTTP\/1\.1 200 /);
  expect(text).toMatch(/connection: close/i);
  expect(text).toMatch(/here$/);
  const refused = () => edge.metric('nearcast_edge_connections_refused_total');
  await eventually(async () => ((await refused()) ?? 0) > 0, 'the counter');
  expect(await edge.metric('nearcast_edge_memory_level')).toBe(3);

  await overloaded(edge, 'all');
  later!.send('\r\n');
  const shed = await within(later!.closed(), 'the answer');
  expect(shed.text).toMatch(/^HTTP\/1\.1 503 /);
  expect(shed.text).toMatch(/retry-after: 5\r\n/i);
}, 60_000);
