import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../runtime/clock.ts';
import { Load } from './load.ts';
import type { WorkerReport } from './worker-messages.ts';

function report(requests: number, more: Partial<WorkerReport> = {}): WorkerReport {
  return {
    counters: {
      requests_total: { hit: requests, miss: 0 },
      response_bytes_total: { hit: requests * 100 },
      responses_total: { '2xx': requests - 5, '5xx': 5 },
      own_errors_total: requests / 500,
    },
    connections: 10,
    eventLoopDelayMillis: 5,
    overload: { delayMillis: 5, residentBytes: 0, shedLevel: 0, memoryLevel: 0 },
    popularity: {},
    ...more,
  } as unknown as WorkerReport;
}

describe('the load in a heartbeat', () => {
  it('is what was added since the last one, per second', () => {
    const clock = new VirtualClock();
    const load = new Load(clock, 100);
    load.measure([report(1000)]);
    clock.advance(2000);
    const { load: measured, answers } = load.measure([report(1500)]);
    expect(measured.requestsPerSecond).toBe(250);
    expect(measured.bytesPerSecond).toBe(25_000);
    // What an origin said is not the appliance's own error.
    expect(answers).toEqual({ total: 500, errors: 1 });
  });

  it('a restarted worker, which counts from zero, is not a negative rate', () => {
    const clock = new VirtualClock();
    const load = new Load(clock, 100);
    load.measure([report(1000)]);
    clock.advance(1000);
    expect(load.measure([report(3)]).load.requestsPerSecond).toBe(0);
  });

  it('the worst of connections and event-loop delay says how much is used', () => {
    const load = new Load(new VirtualClock(), 100);
    expect(load.measure([report(1)]).load.used).toBeCloseTo(0.1);
    expect(load.measure([report(1, { eventLoopDelayMillis: 80 })]).load.used).toBeCloseTo(0.8);
    expect(load.measure([report(1, { eventLoopDelayMillis: 800 })]).load.used).toBe(1);
  });

  it('a worker that sheds, or gives up connections for want of memory, has no head-room', () => {
    const load = new Load(new VirtualClock(), 100);
    const overload = { delayMillis: 5, residentBytes: 0, shedLevel: 0, memoryLevel: 0 };
    expect(load.measure([report(1, { overload: { ...overload, shedLevel: 1 } })]).load.used).toBe(1);
    expect(load.measure([report(1), report(1, { overload: { ...overload, memoryLevel: 1 } })]).load.used).toBe(1);
  });

  it('what clients asked for is told once, however often a report is looked at', () => {
    const load = new Load(new VirtualClock(), 100);
    const first = report(1, { popularity: { '/a': [2, 200] } });
    const second = report(1, { popularity: { '/a': [1, 100], '/b': [1, 5] } });
    expect(load.measure([first, second]).popularity).toEqual({ '/a': [3, 300], '/b': [1, 5] });
    expect(load.measure([first, second]).popularity).toEqual({});
  });
});
