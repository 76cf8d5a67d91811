import { describe, expect, test } from 'vitest';
import { SCENARIOS, type Scenario } from './scenarios.ts';
import { tableText } from './table.ts';
import { medianOf, type Round, type ServerResult, verdictOf } from './verdict.ts';

const named = (name: string): Scenario => SCENARIOS.find((one) => one.name === name)!;

function round(requestsPerSecond: number, more: Partial<Round> = {}): Round {
  return {
    requests: requestsPerSecond * 2,
    requestsPerSecond,
    bytesPerSecond: requestsPerSecond * 1200,
    p50Millis: 1,
    p99Millis: 2,
    errors: 0,
    originRequests: 0,
    serverMicrosPerRequest: 1e6 / requestsPerSecond,
    serverCores: 1,
    loadCores: 0.5,
    originCores: 0,
    ...more,
  };
}

function result(server: string, rounds: readonly Round[], storedShare?: number): ServerResult {
  return { server, setting: 'default', tried: {}, rounds, storedShare };
}

test('the ratio is the median of paired rounds, so that a machine that slows down slows both', () => {
  const ours = result('nearcast', [round(130), round(65), round(13)]);
  const theirs = result('nginx', [round(100), round(50), round(10)]);
  expect(verdictOf(named('memory-1k'), [ours, theirs]).against).toEqual([
    { server: 'nginx', ratio: 1.3, cpuRatio: expect.closeTo(1.3, 9) },
  ]);
});

test('the bar is held against the peer that is hardest to beat, or against nginx where it says so', () => {
  const servers = [
    result('nearcast', [round(120)]),
    result('nginx', [round(90)]),
    result('trafficserver', [round(100)]),
    result('varnish', [round(50)]),
  ];
  const best = verdictOf(named('memory-1k'), servers);
  expect(best.judged).toMatchObject({ server: 'trafficserver', ratio: 1.2 });
  expect(best.bar).toBe('not met');
  const alone = verdictOf({ ...named('memory-1k'), bar: { ratio: 1.25, against: 'nginx' } }, servers);
  expect(alone.judged?.server).toBe('nginx');
  expect(alone.bar).toBe('met');
  expect(verdictOf(named('memory-1k'), servers.slice(0, 1)).bar).toBe('no peer');
});

test('latency counts the other way: half of theirs is a ratio of two', () => {
  const ours = result('nearcast', [round(100, { p50Millis: 0.2 })]);
  const theirs = result('nginx', [round(100, { p50Millis: 0.4 })]);
  expect(verdictOf(named('p50'), [ours, theirs]).judged?.ratio).toBe(2);
});

test('large bodies are compared by bytes: answers that a round cuts off count for their part', () => {
  const ours = result('nearcast', [round(3, { bytesPerSecond: 4e9 })]);
  const theirs = result('nginx', [round(4, { bytesPerSecond: 2e9 })]);
  expect(verdictOf(named('memory-100m'), [ours, theirs]).judged?.ratio).toBe(2);
});

describe('figures prove nothing', () => {
  const theirs = result('nginx', [round(10, { originRequests: 20 })], 1);
  test.each([
    [
      'when hits reached the origin',
      'memory-1k',
      round(100, { originRequests: 1 }),
      undefined,
      '1 hits reached the origin',
    ],
    ['when answers failed', 'memory-1k', round(100, { errors: 3 }), undefined, '3 errors'],
    [
      'when misses did not reach the origin',
      'miss-1k',
      round(100, { originRequests: 150 }),
      1,
      'did not reach the origin',
    ],
    [
      'when nobody looked whether misses were stored',
      'miss-1k',
      round(100, { originRequests: 200 }),
      undefined,
      'not known',
    ],
    ['when misses were not stored', 'miss-1k', round(100, { originRequests: 200 }), 0.5, '50 % of misses stored'],
  ])('%s', (_, name, one, storedShare, doubt) => {
    const peer = name.startsWith('miss') ? theirs : result('nginx', [round(10)]);
    const verdict = verdictOf(named(name), [result('nearcast', [one], storedShare), peer]);
    expect(verdict.bar).toBe('unproven');
    expect(verdict.doubts.join()).toContain(doubt);
  });

  test('and they do when every miss was fetched and stored', () => {
    const ours = result('nearcast', [round(100, { originRequests: 200 })], 1);
    expect(verdictOf(named('miss-1k'), [ours, theirs])).toMatchObject({ bar: 'met', doubts: [] });
  });
});

test('a load generator that leaves the server waiting is named as the limit', () => {
  const ours = result('nearcast', [round(130, { serverCores: 0.8, loadCores: 0.95 })]);
  const verdict = verdictOf(named('memory-1k'), [ours, result('nginx', [round(100, { loadCores: 0.99 })])]);
  expect(verdict.doubts).toEqual(['nearcast: load and origin were the limit (0.95 cores; server 0.80)']);
  expect(verdict.bar).toBe('met');
});

test('the table shows rate, ratio, bar and CPU time of each server, and rows that failed', () => {
  const scenario = named('memory-1k');
  const results = [result('nearcast', [round(130_000)]), result('nginx', [round(100_000)])];
  const failure = 'error: wrong-answer: /bytes/1024';
  const text = tableText([
    { scenario, results, verdict: verdictOf(scenario, results), failure: undefined },
    { scenario: named('304'), results: [], verdict: undefined, failure },
  ]);
  expect(text).toMatch(/1 KiB +nearcast +130000\/s .* 7\.7 /);
  expect(text).toMatch(/nginx +100000\/s +1\.30 +≥ 1\.25 +met +10\.0 +1\.30/);
  expect(text).toContain(`304: ${failure}`);
});

test('a median of an even number of rounds lies between the middle two, and unknown figures are left out', () => {
  const rounds = [round(4), round(1), round(3), round(2)];
  expect(medianOf(result('a', rounds), (one) => one.requestsPerSecond)).toBe(2.5);
  expect(medianOf(result('a', rounds), () => undefined)).toBeUndefined();
});
