/** One run of the public caching suite against an edge of its own. Without ids, all its tests. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Edge } from '../edge/edge.ts';
import { within } from '../edge/within.ts';
import type { SuiteResult } from './cache-suite-process.ts';

const PROGRAM = fileURLToPath(new URL('./cache-suite-process.ts', import.meta.url));

export async function runCacheSuite(profile: 'rfc' | 'safe', ids: readonly string[] = []): Promise<SuiteResult[]> {
  const child = fork(PROGRAM, [...ids], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const heard = <T>(): Promise<T> =>
    new Promise((resolve, reject) => {
      child.once('message', resolve as (message: unknown) => void);
      child.once('exit', (code) => reject(new Error(`the suite ended with ${code}`)));
    });
  let edge: Edge | undefined;
  try {
    const { origin } = await within(heard<{ origin: string }>(), 'the suite starting', 20_000);
    edge = await Edge.start({ upstreams: [origin], profile, more: ['--upstream-connections', '1000'] });
    const answer = heard<{ results: SuiteResult[] }>();
    child.send({ base: `http://127.0.0.1:${edge.port}` });
    return (await within(answer, 'the suite', 90_000)).results;
  } finally {
    child.kill();
    await edge?.stop();
  }
}
