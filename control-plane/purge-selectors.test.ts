import { describe, expect, it } from 'vitest';
import { purgeSelectors } from './purge-log.ts';

const HOST = 'cdn.example.org';
const selectors = (body: unknown) => {
  const outcome = purgeSelectors(body, HOST);
  return outcome.ok ? outcome.value : outcome.reason;
};

describe('the body of a purge', () => {
  it('becomes one selector for each text; soft is the default', () => {
    expect(selectors({ urls: ['/a?b', 'https://other.example.org/c'] })).toEqual({
      selectors: [
        { kind: 'url', url: 'http://cdn.example.org/a?b' },
        { kind: 'url', url: 'https://other.example.org/c' },
      ],
      soft: true,
    });
    expect(selectors({ prefixes: ['/film/'], soft: false })).toEqual({
      selectors: [{ kind: 'prefix', url: 'http://cdn.example.org/film/' }],
      soft: false,
    });
    expect(selectors({ tags: ['t 1'] })).toMatchObject({ selectors: [{ kind: 'tag', tag: 't 1' }] });
    expect(selectors({ hosts: ['CDN.example.org'] })).toMatchObject({ selectors: [{ kind: 'host', host: HOST }] });
    expect(selectors({ service: 'films' })).toMatchObject({ selectors: [{ kind: 'service', service: 'films' }] });
    expect(selectors({ everything: true, confirm: true })).toMatchObject({ selectors: [{ kind: 'everything' }] });
  });

  it.each([undefined, null, {}, [], 'x', { soft: true }, { urls: [] }, { tags: [] }, { urls: 'x' }])(
    '%j says nothing, and nothing is not everything',
    (body) => {
      expect(selectors(body)).toBe('no-selector');
    },
  );

  it.each([
    [{ urls: ['/a'], tags: ['b'] }, 'several-selectors'],
    [{ everything: true }, 'not-confirmed'],
    [{ everything: false, confirm: true }, 'bad-selector'],
    [{ urls: [''] }, 'bad-selector'],
    [{ urls: [7] }, 'bad-selector'],
    [{ urls: ['//evil/x'] }, 'bad-selector'],
    [{ urls: ['ftp://x/'] }, 'bad-selector'],
    [{ urls: ['/a'], soft: 'no' }, 'bad-selector'],
    [{ url: ['/a'] }, 'unknown-key'],
    [JSON.parse('{"__proto__": ["/a"]}'), 'unknown-key'],
    [{ urls: Array(1001).fill('/a') }, 'bad-selector'],
  ])('%j is refused as %s', (body, reason) => {
    expect(selectors(body)).toBe(reason);
  });
});
