import { describe, expect, it } from 'vitest';
import type { PurgeEntry } from '../control-plane/api.ts';
import type { KeyRule } from './cache/key.ts';
import { type PurgeTargets, purgesOf } from './purge-scopes.ts';
import { purgedHosts } from './service-policy.ts';

const under = (rule: KeyRule): PurgeTargets => ({ ruleOf: () => rule, hostsOf: () => '*' });
const OWN_HOSTS = under({ query: { kind: 'keep' } });
const ONE_HOST = under({ query: { kind: 'keep' }, canonicalHost: 'media.example.org' });
const entry = (selector: PurgeEntry['selector'], soft = false): PurgeEntry => ({
  number: 7,
  selector,
  soft,
  atMillis: 0,
});

describe('purge selectors as scopes of the store', () => {
  it('a URL is purged under its canonical key, whatever its spelling', () => {
    for (const url of ['http://Example.org:80/a/../b', 'http://example.org/b', 'HTTP://EXAMPLE.ORG./%62'])
      expect(purgesOf(entry({ kind: 'url', url }), OWN_HOSTS)).toEqual([
        { scope: { kind: 'url', key: 'http://example.org/b' }, soft: false, logNumber: 7 },
      ]);
  });

  it('with a canonical host any host of the service names the same key', () => {
    expect(purgesOf(entry({ kind: 'url', url: 'http://127.0.0.1:18010/a' }, true), ONE_HOST)).toEqual([
      { scope: { kind: 'url', key: 'http://media.example.org/a' }, soft: true, logNumber: 7 },
    ]);
    expect(purgesOf(entry({ kind: 'host', host: 'cdn.example.org' }), ONE_HOST)[0]!.scope).toEqual({
      kind: 'host',
      host: 'media.example.org',
    });
  });

  it('a prefix keeps its host and path', () => {
    expect(purgesOf(entry({ kind: 'prefix', url: 'http://example.org/film/' }), OWN_HOSTS)[0]!.scope).toEqual({
      kind: 'prefix',
      host: 'example.org',
      prefix: '/film/',
    });
  });

  it('what can name nothing here purges nothing and still moves the log on', () => {
    const [purge] = purgesOf(entry({ kind: 'url', url: 'ftp://example.org/a' }), OWN_HOSTS);
    expect(purge).toEqual({ scope: { kind: 'host', host: '' }, soft: false, logNumber: 7 });
  });

  it('a service is purged by its hosts as they are now, without those of other services', () => {
    const services = [
      { name: 'films', hosts: ['*.example.org'], canonicalHost: 'films.example.org' },
      { name: 'shop', hosts: ['shop.example.org', '*'] },
    ];
    const targets: PurgeTargets = { ruleOf: () => undefined, hostsOf: (name) => purgedHosts(name, services) };
    expect(purgesOf(entry({ kind: 'service', service: 'films' }), targets)[0]!.scope).toEqual({
      kind: 'service',
      hosts: '!* !shop.example.org *.example.org films.example.org',
    });
    expect(purgesOf(entry({ kind: 'service', service: 'other' }), targets)[0]!.scope).toEqual({
      kind: 'host',
      host: '',
    });
  });
});
