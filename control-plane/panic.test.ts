import { describe, expect, it } from 'vitest';
import type { HealthState } from './api.ts';
import { type FleetMember, fleetVerdict } from './panic.ts';

function member(id: string, state: HealthState, silent = false, published: HealthState = 'healthy'): FleetMember {
  return { id, site: id[0]!, role: 'edge', state, why: `${id} is ${state}`, silent, published };
}

const SITES = ['a', 'b'];

describe('a site', () => {
  it('stays open with exactly half of its edges down', () => {
    const verdict = fleetVerdict([member('a1', 'unhealthy'), member('a2', 'healthy')], SITES);
    expect(verdict.sites.get('a')!.state).toBe('open');
  });

  it('fails over with more than half down', () => {
    const verdict = fleetVerdict(
      [member('a1', 'unhealthy'), member('a2', 'unhealthy'), member('a3', 'healthy')],
      SITES,
    );
    expect(verdict.sites.get('a')).toMatchObject({ state: 'failed-over', why: expect.stringContaining('2 of 3') });
  });

  it('does not count what an operator took out, nor what nobody has seen', () => {
    const out = [
      member('a1', 'unhealthy'),
      member('a2', 'draining'),
      member('a3', 'maintenance'),
      member('a4', 'unknown'),
    ];
    expect(fleetVerdict([...out, member('a5', 'healthy')], SITES).sites.get('a')!.state).toBe('open');
    expect(fleetVerdict(out, SITES).sites.get('a')!.state).toBe('failed-over');
  });

  it('with no edge at all is open: there is nothing to fail over from', () => {
    expect(fleetVerdict([], SITES).sites.get('b')!.state).toBe('open');
  });

  it('is not judged by its region', () => {
    const region = { ...member('a1', 'unhealthy'), role: 'region' as const };
    expect(fleetVerdict([region, member('a2', 'healthy')], SITES).sites.get('a')!.state).toBe('open');
  });
});

describe('the fleet', () => {
  const silentFleet = ['a1', 'a2', 'b1', 'b2'].map((id) => member(id, 'unhealthy', id !== 'b2'));

  it('freezes when over half went silent, and keeps those that served', () => {
    const verdict = fleetVerdict(silentFleet, SITES);
    expect(verdict.frozen).toContain('3 of 4');
    expect(verdict.members.map(({ state }) => state)).toEqual(['suspect', 'suspect', 'suspect', 'unhealthy']);
    expect(verdict.sites.get('a')!.state).toBe('open');
  });

  it('does not bring back while frozen what was out before', () => {
    const verdict = fleetVerdict([member('a1', 'unhealthy', true, 'unhealthy'), ...silentFleet.slice(1)], SITES);
    expect(verdict.members[0]!.state).toBe('unhealthy');
  });

  it('does not freeze at exactly half', () => {
    const half = [
      member('a1', 'unhealthy', true),
      member('a2', 'unhealthy', true),
      member('b1', 'healthy'),
      member('b2', 'healthy'),
    ];
    expect(fleetVerdict(half, SITES).frozen).toBeUndefined();
  });

  it('that refuses connections is dead and not out of reach, however much of it', () => {
    const dead = ['a1', 'a2', 'b1', 'b2'].map((id) => member(id, 'unhealthy'));
    const verdict = fleetVerdict(dead, SITES);
    expect(verdict.frozen).toBeUndefined();
    expect([...verdict.sites.values()].map(({ state }) => state)).toEqual(['failed-over', 'failed-over']);
  });

  it('of one or two has no majority to doubt itself by', () => {
    expect(
      fleetVerdict([member('a1', 'unhealthy', true), member('b1', 'unhealthy', true)], SITES).frozen,
    ).toBeUndefined();
  });
});
