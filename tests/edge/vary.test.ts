/** Vary and variants (RFC 9111 §4.1). */
import { describe, expect, test } from 'vitest';
import { bench, cacheStatus } from './harness.ts';

for (const workers of [1, 2])
  describe(`${workers} workers`, () => {
    const b = bench({ workers });
    const fresh = { 'Cache-Control': 'max-age=60' };

    test('all Vary lines count', async () => {
      const path = b.path();
      const headers: [string, string][] = [
        ['Cache-Control', 'max-age=60'],
        ['Vary', 'Accept-Encoding'],
        ['Vary', 'X-R'],
      ];
      b.origin.on(path, { headers, body: 'a' }, { headers, body: 'b' });
      expect((await b.edge.get(path, { 'X-R': 'a' })).text).toBe('a');
      expect((await b.edge.get(path, { 'X-R': 'b' })).text).toBe('b');
      expect((await b.edge.get(path, { 'X-R': 'a' })).text).toBe('a');
      expect(b.origin.hits(path)).toBe(2);
    });

    test('a field that neither request has matches; one that has it does not', async () => {
      const path = b.path();
      const headers = { ...fresh, Vary: 'X-Q' };
      b.origin.on(path, { headers, body: 'none' }, { headers, body: 'some' });
      await b.edge.get(path);
      expect(cacheStatus(await b.edge.get(path)).hit).toBe(true);
      const other = await b.edge.get(path, { 'X-Q': '1' });
      expect([other.text, cacheStatus(other).fwd]).toEqual(['some', 'vary-miss']);
    });

    test('a response without Vary that came later serves everybody', async () => {
      const path = b.path();
      b.origin.on(
        path,
        { headers: { ...fresh, Vary: 'X-R', Age: '61', ETag: '"1"' }, body: 'a' },
        { headers: fresh, body: 'all' },
      );
      await b.edge.get(path, { 'X-R': 'a' });
      expect((await b.edge.get(path, { 'X-R': 'a' })).text).toBe('all');
      const other = await b.edge.get(path, { 'X-R': 'b' });
      expect([other.text, cacheStatus(other).hit]).toEqual(['all', true]);
    });

    test('when Vary changes from one field to another nobody gets another variant', async () => {
      const path = b.path();
      b.origin.on(path, (seen, _response, n) => {
        const vary = n % 2 === 1 ? 'x-first' : 'x-second';
        return { headers: { ...fresh, Vary: vary }, body: `${vary}=${seen.headers[vary]}` };
      });
      const values = ['1', '2', '3'];
      for (let i = 0; i < 18; i++) {
        const asked = { 'X-First': values[i % 3]!, 'X-Second': values[(i * 2 + 1) % 3]! };
        const answer = await b.edge.get(path, asked);
        expect([`x-first=${asked['X-First']}`, `x-second=${asked['X-Second']}`]).toContain(answer.text);
        expect(answer.text.startsWith(`${answer.field('vary')}=`)).toBe(true);
      }
    });

    for (const vary of [
      'foo bar',
      'f'.repeat(200),
      'Accept-Encoding, foo bar',
      '"x"',
      Array.from({ length: 40 }, (_, i) => `X-${i}`).join(),
    ])
      test(`a response that varies on ${vary.slice(0, 30)} is delivered and given to nobody else`, async () => {
        const path = b.path();
        b.origin.on(path, { headers: { ...fresh, Vary: vary }, body: 'x' });
        expect((await b.edge.get(path)).text).toBe('x');
        expect(cacheStatus(await b.edge.get(path)).hit).toBe(false);
      });

    test('Accept-Encoding is one variant for one set of codings, however it is written', async () => {
      const path = b.path();
      b.origin.on(path, (seen) => ({
        headers: { ...fresh, Vary: 'Accept-Encoding' },
        body: String(seen.headers['accept-encoding']),
      }));
      const first = await b.edge.get(path, { 'Accept-Encoding': 'gzip, br' });
      for (const written of ['gzip,br', 'br, gzip', 'gzip;q=1.0, br;q=0.5', ['gzip', 'br']])
        expect((await b.edge.get(path, { 'Accept-Encoding': written })).text).toBe(first.text);
      expect(b.origin.hits(path)).toBe(1);
      expect((await b.edge.get(path, { 'Accept-Encoding': 'gzip' })).text).toBe('gzip');
      expect((await b.edge.get(path)).text).toBe('identity');
    });

    test('a list is the same on one line or two, with or without spaces', async () => {
      const path = b.path();
      b.origin.on(path, { headers: { ...fresh, Vary: 'Accept-Language' }, body: 'x' });
      await b.edge.get(path, { 'Accept-Language': 'en, de' });
      expect(cacheStatus(await b.edge.get(path, { 'Accept-Language': 'en,de' })).hit).toBe(true);
      expect(cacheStatus(await b.edge.get(path, { 'Accept-Language': ['en', 'de'] })).hit).toBe(true);
      expect(cacheStatus(await b.edge.get(path, { 'Accept-Language': 'fr' })).hit).toBe(false);
    });

    test('a purge takes every variant', async () => {
      const path = b.path();
      b.origin.on(path, (seen) => ({ headers: { ...fresh, Vary: 'X-R' }, body: `${seen.headers['x-r']}` }));
      const all = ['a', 'b', 'c'];
      for (const one of all) await b.edge.get(path, { 'X-R': one });
      for (const one of all) expect(cacheStatus(await b.edge.get(path, { 'X-R': one })).hit).toBe(true);
      expect((await b.edge.ask(path, { method: 'PURGE' })).status).toBe(200);
      for (const one of all) expect(cacheStatus(await b.edge.get(path, { 'X-R': one })).hit).toBe(false);
      expect(b.origin.hits(path)).toBe(6);
    });

    test('one variant after another is served while the first is still arriving', async () => {
      const path = b.path();
      b.origin.on(path, (seen) => ({ headers: { ...fresh, Vary: 'X-R' }, body: `${seen.headers['x-r']}` }));
      const answers = await Promise.all(['a', 'b', 'a', 'b', 'c', 'a'].map((one) => b.edge.get(path, { 'X-R': one })));
      expect(answers.map(({ text }) => text)).toEqual(['a', 'b', 'a', 'b', 'c', 'a']);
    });
  });
