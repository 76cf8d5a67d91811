/** `slowhttptest` (Debian) in its four modes against a real edge with short timeouts: bounded in connections and seconds. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ask } from '../edge/client.ts';
import { conformanceBench } from './conformance-edge.ts';

const bench = conformanceBench(['--header-timeout', '2s', '--send-timeout', '2s', '--idle-timeout', '3s']);

const MODES: readonly (readonly [name: string, options: readonly string[]])[] = [
  ['slow headers', ['-H', '-i', '1']],
  ['slow bodies', ['-B', '-i', '30', '-s', '8192']],
  ['slow reading', ['-X', '-w', '10', '-y', '20', '-n', '5', '-z', '1', '-k', '1']],
  ['many ranges', ['-R', '-a', '10', '-b', '3000']],
];

test.each(MODES)(
  '%s: a client of good faith is always served, and every slow connection is closed',
  async (_name, mode) => {
    const folder = await mkdtemp(join(tmpdir(), 'nearcast-slow-'));
    try {
      const args = [
        ...mode,
        '-c',
        '200',
        '-r',
        '100',
        '-l',
        '9',
        '-p',
        '2',
        '-g',
        '-o',
        join(folder, 'out'),
        '-u',
        `http://127.0.0.1:${bench.edge.port}/t/1`,
      ];
      let ended = false;
      const run = new Promise<string>((resolve) =>
        execFile('slowhttptest', args, { timeout: 20_000 }, (_error, out) => resolve(out)),
      ).finally(() => {
        ended = true;
      });
      let served = 0;
      let open = 0;
      while (!ended) {
        const answer = await bench.edge.ask('/t/1', { deadlineMillis: 1000 });
        expect(answer.status).toBe(200);
        served++;
        if (served % 20 === 0)
          open = Number(
            /^nearcast_edge_connections(?:\{.*\})? (\d+)/m.exec(
              (await ask(bench.edge.adminPort, '/metrics')).text,
            )?.[1],
          );
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      const said = await run;
      expect(served).toBeGreaterThan(20);
      // Columns: seconds, closed, pending, connected, service available.
      const rows = (await readFile(join(folder, 'out.csv'), 'utf8'))
        .trim()
        .split('\n')
        .slice(1)
        .map((row) => row.split(','));
      expect(rows.length).toBeGreaterThan(0);
      expect(rows.filter((row) => Number(row[4]) === 0)).toEqual([]);
      // A client that reads nothing never sees that it was closed: there the edge is asked.
      if (mode.includes('-X')) expect(open).toBeLessThan(10);
      else expect(said).toContain('No open connections left');
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
  40_000,
);
