/** What is stored for others, and what never is (RFC 9111 §3). */
import { describe, expect, test } from 'vitest';
import { bench, httpDate } from './harness.ts';

for (const profile of ['safe', 'rfc'] as const)
  describe(`profile ${profile}`, () => {
    const b = bench({ profile });

    test('a fresh response answers the second client without the origin', async () => {
      const path = b.path();
      b.origin.on(path, { headers: { 'Cache-Control': 'max-age=60' }, body: 'hello' });
      const first = await b.edge.get(path);
      const second = await b.edge.get(path);
      expect([first.text, second.text]).toEqual(['hello', 'hello']);
      expect(b.origin.hits(path)).toBe(1);
      expect(first.field('cache-status')).toMatch(/^nearcast-edge; fwd=uri-miss; fwd-status=200; .*stored/);
      expect(second.field('cache-status')).toMatch(/^nearcast-edge; hit; ttl=(59|60)$/);
      expect(second.field('age')).toMatch(/^[01]$/);
    });

    test('Expires alone is a lifetime', async () => {
      const path = b.path();
      b.origin.on(path, { headers: { Expires: httpDate(60) }, body: 'x' });
      await b.edge.get(path);
      expect((await b.edge.get(path)).field('cache-status')).toContain('; hit;');
    });
  });
