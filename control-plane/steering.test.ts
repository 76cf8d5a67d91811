import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { HealthState } from './api.ts';
import type { Snapshot, SnapshotAppliance, SnapshotSite } from './snapshot.ts';
import { LOAD_FLOOR, steer, steeringIndex, titleOf } from './steering.ts';

function edge(id: string, changes: Partial<SnapshotAppliance> = {}): SnapshotAppliance {
  const site = id[0]!;
  const url = `http://${id}.example.org`;
  return { id, site, role: 'edge', url, state: 'healthy', why: 'good', weight: 1, used: 0.1, ...changes };
}

function site(id: string, prefixes: string[], changes: Partial<SnapshotSite> = {}): SnapshotSite {
  return { id, name: `ISP ${id}`, prefixes, next: [], state: 'open', why: 'up', ...changes };
}

function snapshot(changes: Partial<Snapshot> = {}): Snapshot {
  return {
    number: 7,
    atMillis: 0,
    standby: { id: 'standby', url: 'https://standby.example.org' },
    sites: [site('a', ['10.0.0.0/8', '10.9.0.0/16'], { next: ['b'] }), site('b', ['10.2.0.0/16'])],
    appliances: [edge('a1'), edge('a2'), edge('b1')],
    rankedTtlSeconds: 300,
    contentSteeringTtlSeconds: 300,
    frozen: null,
    ...changes,
  };
}

function ids(of: Snapshot, client: string, path = '/film/1.m4s'): string[] {
  return steer(steeringIndex(of), client, path).targets.map(({ id }) => id);
}

describe('steering', () => {
  it('ranks the edges of the site of the longest prefix, then the next site, then the standby', () => {
    const answer = steer(steeringIndex(snapshot()), '10.1.1.1', '/film/1.m4s');
    expect(answer.client).toEqual({ address: '10.1.1.1', site: 'a', prefix: '10.0.0.0/8' });
    expect(answer.targets.slice(0, 2).map(({ site }) => site)).toEqual(['a', 'a']);
    expect(answer.targets.slice(2).map(({ id }) => id)).toEqual(['b1', 'standby']);
    expect(answer.targets[0]!.why).toBe('site a by 10.0.0.0/8, rendezvous rank 1');
    expect(answer.targets[2]!.why).toBe('next site b after a, rendezvous rank 1');
    expect(ids(snapshot(), '10.2.1.1')).toEqual(['b1', 'standby']);
  });

  it.each(['192.0.2.1', '2001:db8::1', 'nonsense', ''])(
    'sends the unknown client %j to the standby alone, with the reason',
    (client) => {
      const answer = steer(steeringIndex(snapshot()), client, '/x');
      expect(answer.targets).toHaveLength(1);
      expect(answer.targets[0]).toMatchObject({ kind: 'standby', url: 'https://standby.example.org' });
      expect(answer.targets[0]!.why).toContain(client);
    },
  );

  it('keeps all of a title at one edge and spreads titles', () => {
    const firsts = new Set<string>();
    for (let title = 0; title < 50; title++) {
      const first = (file: string) => ids(snapshot(), '10.1.1.1', `/title-${title}/${file}`)[0]!;
      expect(first('a/seg-1.m4s')).toBe(first('master.m3u8?x=/y'));
      firsts.add(first('x'));
    }
    expect(firsts).toEqual(new Set(['a1', 'a2']));
  });

  it.each(['unknown', 'unhealthy', 'draining', 'maintenance'] as const)(
    'names no edge that is %s, and says why',
    (state: HealthState) => {
      const answer = steer(
        steeringIndex(snapshot({ appliances: [edge('a1', { state, why: 'so it is' }), edge('a2')] })),
        '10.1.1.1',
        '/f',
      );
      expect(answer.targets.map(({ id }) => id)).toEqual(['a2', 'standby']);
      expect(answer.rejected).toEqual([{ id: 'a1', why: `${state}: so it is` }]);
    },
  );

  it('sends the clients of a failed-over site to the standby, and nobody else there', () => {
    const over = snapshot();
    const sites = [over.sites[0]!, site('b', ['10.2.0.0/16'], { state: 'failed-over', why: '2 of 3 edges down' })];
    expect(ids({ ...over, sites }, '10.2.1.1')).toEqual(['standby']);
    expect(ids({ ...over, sites }, '10.1.1.1')).not.toContain('b1');
  });

  it('puts an edge over its load bound behind the others, however well it ranks', () => {
    const first = ids(snapshot(), '10.1.1.1')[0]!;
    const busy = snapshot().appliances.map((one) => (one.id === first ? { ...one, used: LOAD_FLOOR + 0.1 } : one));
    const answer = steer(steeringIndex(snapshot({ appliances: busy })), '10.1.1.1', '/film/1.m4s');
    expect(answer.targets[1]).toMatchObject({ id: first, why: expect.stringContaining('over its bound') });
  });

  it('keeps the order when all are equally busy', () => {
    const busy = snapshot().appliances.map((one) => ({ ...one, used: 0.95 }));
    expect(ids(snapshot({ appliances: busy }), '10.1.1.1')).toEqual(ids(snapshot(), '10.1.1.1'));
  });

  it('gives a ramping edge its share of titles and takes none from between the others', () => {
    const firsts = (weight: number) =>
      Array.from(
        { length: 2000 },
        (_, i) => ids(snapshot({ appliances: [edge('a1', { weight }), edge('a2')] }), '10.1.1.1', `/t${i}/x`)[0]!,
      );
    const share = (weight: number) => firsts(weight).filter((id) => id === 'a1').length / 2000;
    expect(share(1)).toBeCloseTo(0.5, 1);
    expect(share(0.1)).toBeCloseTo(0.1 / 1.1, 1);
    expect(share(0.1)).toBeGreaterThan(0);
  });

  it('moves only the titles of an edge that goes', () => {
    const all = snapshot({ appliances: ['a1', 'a2', 'a3', 'a4'].map((id) => edge(id)) });
    const without = snapshot({ appliances: ['a1', 'a2', 'a4'].map((id) => edge(id)) });
    for (let i = 0; i < 300; i++) {
      const before = ids(all, '10.1.1.1', `/t${i}/x`)[0]!;
      if (before !== 'a3') expect(ids(without, '10.1.1.1', `/t${i}/x`)[0]).toBe(before);
    }
  });

  it('is never empty and ends with the standby, whatever the snapshot', () => {
    const states = fc.constantFrom<HealthState>(
      'unknown',
      'healthy',
      'suspect',
      'unhealthy',
      'recovering',
      'draining',
      'maintenance',
    );
    const edges = fc.array(
      fc.record({
        n: fc.integer({ min: 0, max: 9 }),
        site: fc.constantFrom('a', 'b', 'c'),
        state: states,
        used: fc.double({ min: 0, max: 1, noNaN: true }),
        weight: fc.constantFrom(0.1, 0.5, 1),
      }),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(
        edges,
        fc.ipV4(),
        fc.constantFrom<'open' | 'failed-over'>('open', 'failed-over'),
        fc.string(),
        (some, client, state, path) => {
          const appliances = some.map(({ n, ...rest }) => edge(`${rest.site}${n}`, rest));
          const { targets, rejected } = steer(
            steeringIndex(
              snapshot({
                appliances,
                sites: [site('a', ['0.0.0.0/1'], { state, next: ['b', 'a', 'zz'] }), site('b', [])],
              }),
            ),
            client,
            path,
          );
          expect(targets.at(-1)!.kind).toBe('standby');
          expect(targets.filter(({ kind }) => kind === 'standby')).toHaveLength(1);
          const up = new Map(
            appliances.map((one) => [
              one,
              one.state === 'healthy' || one.state === 'suspect' || one.state === 'recovering',
            ]),
          );
          for (const { id, kind } of targets)
            if (kind === 'appliance') expect([...up].some(([one, may]) => one.id === id && may)).toBe(true);
          for (const { why } of [...targets, ...rejected]) expect(why).not.toBe('');
        },
      ),
    );
  });
});

describe('a title', () => {
  it.each([
    ['/film/360p/1.m4s', 'film'],
    ['/film', 'film'],
    ['/big.bin?x=1', 'big.bin'],
    ['/film?x=/y', 'film'],
    ['/', ''],
  ])('of %s is %s', (path, title) => {
    expect(titleOf(path)).toBe(title);
  });
});
