/** That rows work, on whatever machine: real servers, real load for a second, every byte compared before. */
import { spawn } from 'node:child_process';
import { expect, test } from 'vitest';
import { parseOptions } from '../runtime/options.ts';
import { contentDigest, contentPieces } from './content.ts';
import { measureEdge, OPTIONS } from './edge.ts';
import { summary } from './h2load.ts';
import { cpuSecondsBetween, sampleCpu } from './process-cpu.ts';

/** One of each kind; all of them run in `npm run bench -- edge --against nginx,varnish,trafficserver --quick`. */
const ROWS = ['304', 'range-64k', 'tls-1k', 'h2-1k', 'miss-64k', 'p50', 'disk-64k'];

test('each kind of row gives figures of ours and of nginx, whose hits were hits and whose misses were stored', async () => {
  const argv = ['--quick', '--against', 'nginx', '--only', ROWS.join(',')];
  const rows = await measureEdge(parseOptions(OPTIONS, { part: 'bench', argv }), new AbortController().signal);
  expect(rows.map(({ scenario, failure }) => [scenario.name, failure])).toEqual(ROWS.map((name) => [name, undefined]));
  for (const { scenario, results, verdict } of rows) {
    expect(results.map(({ server }) => server)).toEqual(['nearcast', 'nginx']);
    expect([scenario.name, verdict!.bar]).toEqual([scenario.name, expect.stringMatching(/^(not )?met$/)]);
    for (const { rounds } of results) expect(rounds[0]!.serverMicrosPerRequest).toBeGreaterThan(0);
  }
}, 120_000);

test('a run that is interrupted rejects with the reason and leaves no server behind', async () => {
  const ending = new AbortController();
  const argv = ['--quick', '--against', 'nginx', '--only', 'memory-1k'];
  const running = measureEdge(parseOptions(OPTIONS, { part: 'bench', argv }), ending.signal);
  ending.abort(new Error('enough'));
  await expect(running).rejects.toThrow('enough');
});

test('an unknown row is refused with the nearest name', async () => {
  const options = parseOptions(OPTIONS, { part: 'bench', argv: ['--only', 'memory-1kb'] });
  await expect(measureEdge(options, new AbortController().signal)).rejects.toMatchObject({
    code: 'unknown-row',
    fix: 'did you mean memory-1k?',
  });
});

test('content is the same at an offset whether it is read from there or from the beginning', () => {
  const whole = Buffer.concat([...contentPieces(0, 3_000_000)]);
  const part = Buffer.concat([...contentPieces(1_048_570, 65_536)]);
  expect(part.equals(whole.subarray(1_048_570, 1_048_570 + 65_536))).toBe(true);
  expect(contentDigest(5, 10)).not.toBe(contentDigest(6, 10));
});

test('CPU time of a process includes its descendants', async () => {
  const child = spawn('sh', ['-c', 'read go; sh -c "while :; do :; done" & wait'], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  try {
    const before = await sampleCpu(child.pid!);
    child.stdin.write('go\n');
    await expect
      .poll(async () => cpuSecondsBetween(before, await sampleCpu(child.pid!)), { timeout: 20_000 })
      .toBeGreaterThan(0.05);
  } finally {
    process.kill(-child.pid!, 'SIGKILL');
  }
}, 30_000);

test('what h2load says at its end is read, in any of its units', () => {
  const text = [
    'finished in 500.12ms, 12345.60 req/s, 13.5MB/s',
    'requests: 6174 total, 6184 started, 6174 done, 6170 succeeded, 4 failed, 1 errored, 0 timeout',
    'status codes: 6170 2xx, 0 3xx, 0 4xx, 4 5xx',
    'traffic: 6.7MB (7061233) total, 120.6KB (123480) headers (space savings 91.0%), 6.0MB (6322176) data',
  ].join('\n');
  expect(summary(text)).toEqual({
    requests: 6174,
    seconds: 0.50012,
    requestsPerSecond: 6174 / 0.50012,
    bytesPerSecond: 7061233 / 0.50012,
    errors: 5,
  });
  expect(() => summary('h2load: nothing')).toThrow('unexpected output');
});
