/** Many clients at once: one request upstream, and nobody waits for a slow or a dead one (architecture §3.1 step 5). */
import { describe, expect, test } from 'vitest';
import { begin, bench, cacheStatus, gate, placed } from './harness.ts';

const FRESH = { 'Cache-Control': 'max-age=60' };
const MiB = 1 << 20;

for (const workers of [1, 2])
  describe(`${workers} workers`, () => {
    const b = bench({ workers });
    const crowd = (path: string, count: number) =>
      Promise.all(Array.from({ length: count }, () => b.edge.get(path).catch(() => undefined)));

    /** What was sent before has been read by then: other requests, on connections made later, have their answers. */
    const arrived = async () => {
      for (let i = 0; i < 3; i++) await crowd(b.path(), 4);
    };

    test('fifty clients of one missing thing cost the origin one request', async () => {
      const path = b.path();
      const hold = gate();
      b.origin.on(path, { headers: FRESH, body: 'once', hold });
      const asking = crowd(path, 50);
      await b.origin.asked(path, 1);
      hold.open();
      const answers = await asking;
      expect(answers.every((answer) => answer?.text === 'once')).toBe(true);
      expect(b.origin.hits(path)).toBe(1);
      expect(answers.filter((answer) => answer!.field('cache-status')!.includes('collapsed')).length).toBeGreaterThan(
        0,
      );
    });

    for (const control of ['max-age=0', 'no-cache'])
      test(`those who waited for a response with ${control} and a validator share it`, async () => {
        const path = b.path();
        const hold = gate();
        b.origin.on(
          path,
          { headers: { 'Cache-Control': control, ETag: '"v"' }, body: 'x', hold },
          { status: 304, headers: { 'Cache-Control': control, ETag: '"v"' } },
        );
        const asking = crowd(path, 10);
        await b.origin.asked(path, 1);
        await arrived();
        hold.open();
        expect((await asking).every((answer) => answer?.text === 'x')).toBe(true);
        expect(b.origin.hits(path)).toBeLessThanOrEqual(5);
        await b.edge.get(path);
        expect(b.origin.requests(path).at(-1)!.headers['if-none-match']).toBe('"v"');
      });

    test('those who waited for a private response each get their own', async () => {
      const path = b.path();
      const hold = gate();
      b.origin.on(path, (_seen, _response, n) => ({
        headers: { 'Cache-Control': 'private, max-age=60' },
        body: `for ${n}`,
        ...(n === 1 ? { hold } : {}),
      }));
      const asking = crowd(path, 10);
      await b.origin.asked(path, 1);
      hold.open();
      const texts = (await asking).map((answer) => answer?.text);
      expect(new Set(texts).size).toBe(10);
    });

    test('a leader that the origin resets is followed by one other, not by fifty', async () => {
      const path = b.path();
      const hold = gate();
      let under = 0;
      let most = 0;
      b.origin.on(path, async (_seen, response, n) => {
        under += 1;
        most = Math.max(most, under);
        if (n === 1) await hold.opened;
        under -= 1;
        if (n <= 3) return void response.socket!.destroy();
        return { headers: FRESH, body: 'at last' };
      });
      const asking = crowd(path, 50);
      await b.origin.asked(path, 1);
      hold.open();
      const answers = await asking;
      expect(most).toBe(1);
      expect(b.origin.hits(path)).toBeLessThanOrEqual(5);
      expect(answers.filter((answer) => answer?.text === 'at last').length).toBeGreaterThanOrEqual(49);
    });

    test('an origin that resets every time is not stampeded, and its failure is not kept', async () => {
      const path = b.path();
      b.origin.on(path, (_seen, response) => void response.socket!.destroy());
      const answers = await crowd(path, 50);
      expect(answers.every((answer) => answer?.status === 502)).toBe(true);
      expect(b.origin.hits(path)).toBeLessThanOrEqual(30);
      b.origin.on(path, { headers: FRESH, body: 'well' });
      expect((await b.edge.get(path)).text).toBe('well');
    });

    test('a leader whose client goes away does not take the response from those who wait', async () => {
      const path = b.path();
      const after = gate();
      const body = placed(2 * MiB);
      b.origin.on(path, { headers: FRESH, body: body.subarray(0, 1000), rest: { after, body: body.subarray(1000) } });
      const leader = await begin(b.edge.port, path);
      await leader.received(1000);
      const follower = await begin(b.edge.port, path);
      await follower.received(1000);
      leader.abort();
      after.open();
      const answer = await follower.answer;
      expect([answer.whole, answer.body.equals(body)]).toEqual([true, true]);
      expect(b.origin.hits(path)).toBe(1);
    });

    test('who comes while a body arrives reads it as it grows', async () => {
      const path = b.path();
      const after = gate();
      const body = placed(5 * MiB);
      b.origin.on(path, {
        headers: { ...FRESH, ETag: '"v"' },
        body: body.subarray(0, 2 * MiB),
        rest: { after, body: body.subarray(2 * MiB) },
      });
      const first = await begin(b.edge.port, path);
      await first.received(2 * MiB);
      const second = await begin(b.edge.port, path);
      await second.received(2 * MiB);
      after.open();
      for (const answer of [await first.answer, await second.answer])
        expect([answer.whole, answer.body.equals(body)]).toEqual([true, true]);
      expect(b.origin.hits(path)).toBe(1);
    });

    test('a client that reads nothing does not slow another of the same body', async () => {
      const path = b.path();
      const body = placed(40 * MiB);
      b.origin.on(path, { headers: { ...FRESH, ETag: '"v"' }, body });
      const slow = await begin(b.edge.port, path);
      slow.message.pause();
      const fast = await b.edge.get(path);
      expect([fast.whole, fast.body.equals(body)]).toEqual([true, true]);
      expect(b.origin.hits(path)).toBe(1);
      slow.abort();
    });

    test('a body that is purged while it is being read comes whole to its reader', async () => {
      const path = b.path();
      const after = gate();
      const body = placed(6 * MiB);
      b.origin.on(path, {
        headers: { ...FRESH, ETag: '"v"' },
        body: body.subarray(0, 3 * MiB),
        rest: { after, body: body.subarray(3 * MiB) },
      });
      const reader = await begin(b.edge.port, path);
      await reader.received(3 * MiB);
      expect((await b.edge.ask(path, { method: 'PURGE' })).status).toBe(200);
      after.open();
      const answer = await reader.answer;
      expect([answer.whole, answer.body.equals(body)]).toEqual([true, true]);
      b.origin.on(path, { headers: FRESH, body: 'new' });
      expect((await b.edge.get(path)).text).toBe('new');
    });

    test('a purge while the first fetch is under way: what it brings answers its client, and nobody after', async () => {
      const path = b.path();
      const hold = gate();
      b.origin.on(path, { headers: FRESH, body: 'old', hold }, { headers: FRESH, body: 'new' });
      const asking = b.edge.get(path);
      await b.origin.asked(path, 1);
      await b.edge.ask(path, { method: 'PURGE' });
      hold.open();
      expect((await asking).text).toBe('old');
      expect((await b.edge.get(path)).text).toBe('new');
    });
  });

describe('waiting has an end', () => {
  const b = bench({ disk: false, more: ['--collapse-timeout', '300ms', '--upstream-head-timeout', '2s'] });

  test('who has waited long enough for another goes alone', async () => {
    const path = b.path();
    const hold = gate();
    b.origin.on(path, { headers: FRESH, body: 'slow', hold }, { headers: FRESH, body: 'quick' });
    const leader = b.edge.get(path);
    await b.origin.asked(path, 1);
    expect((await b.edge.get(path)).text).toBe('quick');
    hold.open();
    expect((await leader).text).toBe('slow');
  });

  test('an origin that never answers gives 504 with the word for it', async () => {
    const path = b.path();
    const hold = gate();
    b.origin.on(path, { body: 'never', hold });
    const answer = await b.edge.get(path);
    expect([answer.status, answer.field('proxy-status')]).toEqual([
      504,
      expect.stringContaining('http_response_timeout'),
    ]);
    expect(cacheStatus(answer).hit).toBe(false);
    hold.open();
  });
});
