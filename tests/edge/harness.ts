/**
 * The bench of the edge's behaviour tests: one origin and the edges that a file needs, started before its tests and
 * gone after them. Tests of a file share them and take a path each.
 */
import { afterAll, beforeAll } from 'vitest';
import { Edge, type EdgeSetup } from './edge.ts';
import { Origin } from './origin.ts';

export { type Answer, ask, begin, cacheStatus, rawClient } from './client.ts';
export { Edge } from './edge.ts';
export { Origin, type Plain, type Reply, type Seen } from './origin.ts';
export { eventually, gate, within } from './within.ts';

export interface Bench {
  readonly origin: Origin;
  readonly edge: Edge;
  /** A path that no other test has. */
  path(name?: string): string;
}

/** For use at the top of a file or a `describe`. */
export function bench(setup: Omit<EdgeSetup, 'upstreams'> = {}): Bench {
  const origin = new Origin();
  let edge: Edge | undefined;
  let paths = 0;
  beforeAll(async () => {
    await origin.start();
    edge = await Edge.start({ ...setup, upstreams: [origin.url] });
  });
  afterAll(async () => {
    await edge?.stop();
    await origin.stop();
  });
  return {
    origin,
    get edge() {
      if (edge === undefined) throw new Error('the edge has not started');
      return edge;
    },
    path: (name = 'r') => `/${name}-${++paths}`,
  };
}

/** Seconds from now as an HTTP date. */
export function httpDate(secondsFromNow: number): string {
  return new Date(Date.now() + secondsFromNow * 1000).toUTCString();
}

/** A body in which every byte tells its place, so that mixed-up pieces show. */
export function placed(bytes: number, seed = 1): Buffer {
  const words = new Uint32Array(Math.ceil(bytes / 4));
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(i + 1, 2654435761) ^ Math.imul(seed, 40503);
  return Buffer.from(words.buffer, 0, bytes);
}
