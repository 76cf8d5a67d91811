import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../runtime/clock.ts';
import { Flights, type WaitEnding } from './collapse.ts';

function setUp() {
  const clock = new VirtualClock();
  const flights = new Flights<string>({ clock, deadlineMillis: 5000, maxLeaders: 3 });
  const endings: WaitEnding<string>[] = [];
  return { clock, flights, endings, wait: (key: string) => flights.find(key)!.wait((ending) => endings.push(ending)) };
}

describe('collapsed forwarding', () => {
  it('everybody who waits joins the response that the leader shares', () => {
    const { flights, endings, wait } = setUp();
    const flight = flights.lead('k');
    for (let i = 0; i < 3; i++) wait('k');
    flight.join('body');
    expect(endings).toEqual(Array.from({ length: 3 }, () => ({ kind: 'joined', fetched: 'body' })));
    expect(flights.find('k')?.fetched).toBe('body');
    flight.over();
    expect(flights.size).toBe(0);
  });

  it('an uncacheable response sends each waiter on alone', () => {
    const { flights, endings, wait } = setUp();
    const flight = flights.lead('k');
    wait('k');
    wait('k');
    flight.uncacheable();
    expect(endings.map((ending) => ending.kind)).toEqual(['uncacheable', 'uncacheable']);
    expect(flights.find('k')).toBeUndefined();
  });

  it('when the leader fails exactly one waiter leads and the others wait for it', () => {
    const { flights, endings, wait } = setUp();
    const flight = flights.lead('k');
    for (let i = 0; i < 50; i++) wait('k');
    flight.fail('connection_terminated');
    expect(endings.map((ending) => ending.kind)).toEqual(['lead']);
    expect(flights.find('k')?.waiting).toBe(49);
  });

  it('after three failed leaders all who still wait are told, and the origin was asked three times', () => {
    const { flights, endings, wait } = setUp();
    const flight = flights.lead('k');
    for (let i = 0; i < 10; i++) wait('k');
    flight.fail('x');
    for (const _ of [1, 2]) {
      const last = endings.at(-1)!;
      if (last.kind !== 'lead') throw new Error('expected a leader');
      last.flight.fail('x');
    }
    expect(endings.filter((ending) => ending.kind === 'lead')).toHaveLength(2);
    expect(endings.filter((ending) => ending.kind === 'failed')).toHaveLength(8);
    expect(flights.size).toBe(0);
  });

  it('a waiter goes alone at the deadline and hears nothing afterwards', () => {
    const { clock, flights, endings, wait } = setUp();
    const flight = flights.lead('k');
    wait('k');
    clock.advance(4999);
    expect(endings).toEqual([]);
    clock.advance(1);
    expect(endings.map((ending) => ending.kind)).toEqual(['deadline']);
    flight.join('late');
    expect(endings).toHaveLength(1);
  });

  it('a cancelled wait ends in no way at all', () => {
    const { clock, flights, endings, wait } = setUp();
    const flight = flights.lead('k');
    wait('k').cancel();
    flight.join('body');
    clock.advance(10_000);
    expect(endings).toEqual([]);
  });

  it('ending an old flight leaves a newer one under the same key alone', () => {
    const { flights } = setUp();
    const old = flights.lead('k');
    const newer = flights.lead('k');
    old.over();
    expect(flights.find('k')).toBe(newer);
  });
});
