import { beforeEach, describe, expect, it } from 'vitest';
import { VirtualClock } from '../runtime/clock.ts';
import { Tally } from '../runtime/metrics.ts';
import { CONTROL_COUNTERS } from './counters.ts';
import type { FleetListener } from './fleet.ts';
import type { ProbeResult } from './health-record.ts';
import { Monitor } from './monitor.ts';
import type { DeepResult } from './probes.ts';

const SAMPLE = { path: '/f', bytes: 1, sha256: '', etag: '' };

describe('the monitor', () => {
  let clock: VirtualClock;
  let probes: { kind: 'light' | 'deep'; at: number }[];
  let heard: { probe: string; ok: boolean }[];
  let listener: FleetListener;
  let light: () => Promise<ProbeResult>;
  let deep: () => Promise<DeepResult>;
  let unsure: boolean;
  let random: number;
  let monitor: Monitor;
  let began: number;

  beforeEach(() => {
    clock = new VirtualClock();
    [probes, heard, unsure, random, began] = [[], [], false, 0.5, clock.now()];
    light = deep = async () => ({ ok: true });
    monitor = new Monitor({
      clock,
      tally: new Tally(CONTROL_COUNTERS),
      random: () => random,
      sample: () => SAMPLE,
      fleet: {
        listen: (one) => {
          listener = one;
        },
        probeTarget: () => ({ url: 'http://a1', state: 'healthy', unsure }),
        probed: (_, { probe, result }) => void heard.push({ probe, ok: result.ok }),
      },
      prober: {
        light: () => {
          probes.push({ kind: 'light', at: clock.now() - began });
          return light();
        },
        deep: () => {
          probes.push({ kind: 'deep', at: clock.now() - began });
          return deep();
        },
      },
    });
    monitor.start();
  });

  /** Time in steps, letting probes end in between. */
  async function pass(millis: number): Promise<void> {
    const settled = () => new Promise((resolve) => setImmediate(resolve));
    await settled();
    for (let left = millis; left > 0; left -= 100) {
      clock.advance(100);
      await settled();
    }
  }
  const times = (kind: 'light' | 'deep') => probes.filter((one) => one.kind === kind).map(({ at }) => at);

  it('looks at once at a new appliance, then light every 3 s and deep every 10 s', async () => {
    listener.known('a1');
    await pass(12_000);
    expect(times('light')).toEqual([0, 3000, 6000, 9000, 12_000]);
    expect(times('deep')).toEqual([1000, 11_000]);
    expect(heard[0]).toEqual({ probe: 'light', ok: true });
  });

  it('spreads its probes by 10 %', async () => {
    random = 1;
    listener.known('a1');
    await pass(3300);
    expect(times('light')).toEqual([0, 3300]);
  });

  it('looks every second while it is unsure', async () => {
    unsure = true;
    listener.known('a1');
    await pass(3000);
    expect(times('light')).toEqual([0, 1000, 2000, 3000]);
  });

  it('repeats a failed deep probe after 1 s and passes on no inconclusive one', async () => {
    deep = async () => ({ ok: false, why: 'wrong-digest', detail: '' });
    listener.known('a1');
    await pass(2000);
    expect(times('deep')).toEqual([1000, 2000]);
    deep = async () => ({ ok: 'inconclusive', detail: '' });
    const before = heard.length;
    await pass(1000);
    expect(heard.slice(before).filter(({ probe }) => probe === 'deep')).toEqual([]);
  });

  it('looks at once on a hint, but makes no flood of a flood of hints', async () => {
    listener.known('a1');
    await pass(1000);
    for (let i = 0; i < 100; i++) listener.doubtful('a1');
    await pass(100);
    expect(times('light')).toEqual([0, 1000]);
    for (let i = 0; i < 100; i++) listener.doubtful('a1');
    await pass(1000);
    expect(times('light').length).toBeLessThanOrEqual(4);
  });

  it('fetches a real object at once from one whose answers are errors', async () => {
    listener.known('a1');
    await pass(2000);
    listener.misbehaving('a1');
    await pass(100);
    expect(times('deep')).toEqual([1000, 2000]);
  });

  it('never has two probes of a kind on the way to one appliance', async () => {
    let end: (result: ProbeResult) => void = () => {};
    light = () => new Promise((resolve) => (end = resolve));
    listener.known('a1');
    await pass(1000);
    listener.doubtful('a1');
    listener.known('a1');
    expect(times('light')).toEqual([0]);
    end({ ok: true });
    await pass(1000);
    expect(times('light')).toHaveLength(2); // the hint is not lost
  });

  it('stops when it is closed', async () => {
    listener.known('a1');
    await pass(100);
    monitor.close();
    await pass(20_000);
    expect(times('light')).toEqual([0]);
  });
});
