import { expect, test } from 'vitest';
import { createLog } from './log.ts';
import { type MetricTable, Registry, Tally } from './metrics.ts';

const TABLE = {
  requests_total: {
    kind: 'counter',
    help: 'Requests answered.',
    advice: 'Care when it stops.',
    label: { name: 'cache', values: ['hit', 'miss'] },
  },
  store_bytes: { kind: 'gauge', help: 'Bytes stored.', advice: 'Care when it is near the budget.' },
} as const satisfies MetricTable;

test('a registry shows every metric of the table, from the first scrape on, with help and advice', async () => {
  const tally = new Tally(TABLE);
  const registry = new Registry();
  tally.register(registry, 'nearcast_edge');
  tally.add('requests_total', 2, 'hit');
  tally.add('requests_total', 1, 'hit');
  tally.set('store_bytes', 5);
  expect((await registry.metrics()).trimEnd().split('\n')).toEqual([
    '# HELP nearcast_edge_requests_total Requests answered. Care when it stops.',
    '# TYPE nearcast_edge_requests_total counter',
    'nearcast_edge_requests_total{cache="hit"} 3',
    'nearcast_edge_requests_total{cache="miss"} 0',
    '',
    '# HELP nearcast_edge_store_bytes Bytes stored. Care when it is near the budget.',
    '# TYPE nearcast_edge_store_bytes gauge',
    'nearcast_edge_store_bytes 5',
  ]);
});

test('a scrape changes nothing, and a later one shows what was added since', async () => {
  const tally = new Tally(TABLE);
  const registry = new Registry();
  tally.register(registry, 'nearcast_edge');
  tally.add('requests_total', 1, 'miss');
  expect(await registry.metrics()).toBe(await registry.metrics());
  tally.add('requests_total', 1, 'miss');
  expect(await registry.metrics()).toContain('nearcast_edge_requests_total{cache="miss"} 2\n');
});

test('numbers kept elsewhere are read at scrape time', async () => {
  const tally = new Tally(TABLE);
  const registry = new Registry();
  let bytes = 7;
  tally.register(registry, 'nearcast_edge', () => tally.set('store_bytes', bytes));
  expect(await registry.metrics()).toContain('nearcast_edge_store_bytes 7\n');
  bytes = 8;
  expect(await registry.metrics()).toContain('nearcast_edge_store_bytes 8\n');
});

test('a snapshot is all numbers, by label where there is one', () => {
  const tally = new Tally(TABLE);
  tally.add('requests_total', 4, 'miss');
  expect(tally.snapshot()).toEqual({ requests_total: { hit: 0, miss: 4 }, store_bytes: 0 });
  expect(tally.get('requests_total', 'miss')).toBe(4);
});

test('a log line is JSON with part, instance and a time that people read', () => {
  const lines: string[] = [];
  const log = createLog({
    part: 'edge',
    instance: 'a1',
    level: 'info',
    stream: { write: (line) => void lines.push(line) },
  });
  log.info({ port: 1 }, 'listens');
  log.debug('unseen');
  expect(lines).toHaveLength(1);
  const line = JSON.parse(lines[0]!);
  expect(line).toMatchObject({ level: 30, part: 'edge', instance: 'a1', port: 1, msg: 'listens' });
  expect(line.time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
});
