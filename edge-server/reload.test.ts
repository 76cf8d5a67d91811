import { expect, test } from 'vitest';
import { VirtualClock } from '../runtime/clock.ts';
import { Fault } from '../runtime/errors.ts';
import { createLog } from '../runtime/log.ts';
import { parseOptions } from '../runtime/options.ts';
import type { EdgeConfiguration } from './configuration.ts';
import { EDGE_OPTIONS } from './options.ts';
import { Reload } from './reload.ts';

const configuration = (...argv: string[]): EdgeConfiguration => ({
  options: parseOptions(EDGE_OPTIONS, { part: 'edge', argv }),
  services: [],
  certificates: [],
});

test('what running workers can take over is put in force, the rest stays and is named', async () => {
  let running = configuration('--upstream', 'http://a', '--memory', '2MiB');
  const clock = new VirtualClock();
  const reload = new Reload({
    clock,
    log: createLog({ part: 'edge', instance: 'test' }),
    read: () => configuration('--upstream', 'http://b', '--memory', '4MiB', '--profile', 'rfc'),
    running: () => running,
    apply: async (fresh) => {
      running = fresh;
    },
  });
  clock.advance(5000);
  await reload.again();
  expect(running.options).toMatchObject({ upstream: ['http://b'], profile: 'rfc', memory: 2 << 20 });
  expect(reload.figures).toMatchObject({
    loaded: 2,
    refused: 0,
    good: true,
    restartNeeded: ['memory'],
    loadedMillis: clock.now(),
  });
});

test('a bad one, or one that can\u2019t be put in force, is refused; the next good one makes it good again', async () => {
  const ways: (() => EdgeConfiguration)[] = [
    () => {
      throw new Fault('config-syntax', 'edge.yaml:1:1', { source: 'operator' });
    },
    () => configuration('--upstream', 'http://b'),
    () => configuration('--upstream', 'http://c'),
  ];
  const good: boolean[] = [];
  const applied: string[] = [];
  const reload = new Reload({
    clock: new VirtualClock(),
    log: createLog({ part: 'edge', instance: 'test' }),
    read: () => ways.shift()!(),
    running: () => configuration('--upstream', 'http://a'),
    apply: async ({ options }) => {
      applied.push(...options.upstream);
      if (options.upstream[0] === 'http://b') throw new Error('a worker is silent');
    },
  });
  for (let i = 0; i < 3; i++) {
    await reload.again();
    good.push(reload.figures.good);
  }
  expect(good).toEqual([false, false, true]);
  expect(applied).toEqual(['http://b', 'http://c']);
  expect(reload.figures).toMatchObject({ loaded: 2, refused: 2 });
});
