import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { urlOfKey } from './open-store.ts';
import { type NumberedPurge, PurgeLog, type Scope } from './purge-log.ts';
import { response } from './store-contract.ts';

const hosts = fc.constantFrom('a.example.org', 'b.example.org');
const paths = fc.constantFrom('/', '/m', '/movies/', '/movies/a', '/movies/a/1', '/x?q=/movies/');
const scopes: fc.Arbitrary<Scope> = fc.oneof(
  fc.constant({ kind: 'everything' } as const),
  fc.record({
    kind: fc.constant('service' as const),
    hosts: fc.constantFrom('a.example.org', '*.example.org !b.example.org', '* !*.example.org b.example.org'),
  }),
  fc.record({ kind: fc.constant('host' as const), host: hosts }),
  fc.record({ kind: fc.constant('prefix' as const), host: hosts, prefix: paths }),
  fc.record({ kind: fc.constant('tag' as const), tag: fc.constantFrom('t', 'u') }),
  fc.record({
    kind: fc.constant('url' as const),
    key: fc.tuple(hosts, paths).map(([host, path]) => `https://${host}${path}`),
  }),
);
/** Written out by hand: which of the two hosts each expression above means. */
const MEANT: Readonly<Record<string, string>> = {
  'a.example.org': 'a.example.org',
  '*.example.org !b.example.org': 'a.example.org',
  '* !*.example.org b.example.org': 'b.example.org',
};

/** The meaning, written as a search over every purge. */
function expected(purges: readonly NumberedPurge[], stored: ReturnType<typeof response>): 'no' | 'soft' | 'hard' {
  const { host, path } = urlOfKey(stored.key);
  const covers = (scope: Scope): boolean => {
    if (scope.kind === 'everything') return true;
    if (scope.kind === 'service') return MEANT[scope.hosts] === host;
    if (scope.kind === 'host') return scope.host === host;
    if (scope.kind === 'prefix') return scope.host === host && path.startsWith(scope.prefix);
    return scope.kind === 'tag' ? stored.tags.includes(scope.tag) : scope.key === stored.key;
  };
  const newer = purges.filter(({ number, scope }) => number > stored.purgeNumber && covers(scope));
  if (newer.length === 0) return 'no';
  return newer.some(({ soft }) => !soft) ? 'hard' : 'soft';
}

describe('the purge log', () => {
  it('judges as a search over all purges would, and keeps no more than it needs for that', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ scope: scopes, soft: fc.boolean() }), { maxLength: 25 }),
        fc.tuple(hosts, paths, fc.subarray(['t', 'u']), fc.nat(25)),
        (given, [host, path, tags, purgeNumber]) => {
          const purges = given.map((purge, i) => ({ ...purge, number: i + 1 }));
          const log = new PurgeLog(urlOfKey);
          const kept = new Map<number, NumberedPurge>();
          for (const purge of purges) {
            kept.set(purge.number, purge);
            for (const number of log.add(purge)) kept.delete(number);
          }
          const stored = response({ key: `https://${host}${path}`, tags, purgeNumber });
          expect(log.verdict(stored)).toBe(expected(purges, stored));
          expect(log.all().map(({ number }) => number)).toEqual([...kept.keys()]);
          const again = new PurgeLog(urlOfKey);
          for (const purge of log.all()) again.add(purge);
          expect(again.verdict(stored)).toBe(expected(purges, stored));
        },
      ),
    );
  });

  it('forgets what no response is old enough for, and answers the same for younger ones', () => {
    const log = new PurgeLog(urlOfKey);
    const scope = { kind: 'prefix', host: 'a.example.org', prefix: '/m' } as const;
    log.add({ number: 1, scope, soft: false });
    log.add({ number: 2, scope: { kind: 'host', host: 'a.example.org' }, soft: true });
    expect(log.forgetUpTo(1)).toEqual([1]);
    expect(log.size).toBe(1);
    expect(log.verdict(response({ key: 'https://a.example.org/m', purgeNumber: 1 }))).toBe('soft');
    expect(log.verdict(response({ key: 'https://a.example.org/m', purgeNumber: 2 }))).toBe('no');
  });

  it('judges anew after a purge that came later', () => {
    const log = new PurgeLog(urlOfKey);
    const stored = response({ key: 'https://a.example.org/m' });
    log.add({ number: 1, scope: { kind: 'tag', tag: 'other' }, soft: false });
    expect(log.verdict(stored)).toBe('no');
    log.add({ number: 2, scope: { kind: 'url', key: stored.key }, soft: true });
    expect(log.verdict(stored)).toBe('soft');
  });
});
