/** What an origin sends badly: cut bodies, wrong lengths, odd status lines and fields (RFC 9112 §6-8). */
import { Agent } from 'node:http';
import { describe, expect, test } from 'vitest';
import { ask, bench, cacheStatus, placed, rawClient } from './harness.ts';

const HEAD = 'HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nETag: "v"\r\n';

const benches = [bench(), bench({ workers: 2 })] as const;

for (const workers of [1, 2] as const)
  describe(`${workers} workers`, () => {
    const b = benches[workers === 1 ? 0 : 1];

    for (const [what, bytes, ending] of [
      ['in chunks, ended at a chunk boundary', `${HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`, 'end'],
      ['in chunks, reset at a chunk boundary', `${HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`, 'reset'],
      ['in chunks, ended in a chunk', `${HEAD}Transfer-Encoding: chunked\r\n\r\n9\r\nhello`, 'end'],
      ['in chunks, ended before the last line', `${HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n`, 'end'],
      ['in chunks, with a broken size', `${HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nxyz\r\n`, 'end'],
      ['with a length, ended early', `${HEAD}Content-Length: 10\r\n\r\nhello`, 'end'],
      ['with a length, reset early', `${HEAD}Content-Length: 10\r\n\r\nhello`, 'reset'],
    ] as const)
      test(`a body ${what} is not ended as if whole, nor stored`, async () => {
        const path = b.path();
        b.origin.on(
          path,
          { bytes, ending },
          { bytes, ending },
          { bytes, ending },
          { headers: { 'Cache-Control': 'max-age=60' }, body: 'hello world' },
        );
        b.origin.on(path, { bytes, ending }, { headers: { 'Cache-Control': 'max-age=60' }, body: 'hello world' });
        const client = await rawClient(b.edge.port);
        client.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
        const { text } = await client.closed();
        if (text.startsWith('HTTP/1.1 200') && b.origin.hits(path) === 1) {
          expect(text).not.toMatch(/\r\n0\r\n\r\n$/);
          const length = /content-length: (\d+)/i.exec(text)?.[1];
          if (length !== undefined) expect(text.split('\r\n\r\n')[1]!.length).toBeLessThan(Number(length));
        } else if (!text.startsWith('HTTP/1.1 200')) expect(text).toMatch(/^HTTP\/1\.1 502/);
        const next = await ask(b.edge.port, path, { headers: { Host: 'a' } });
        expect([next.text, next.whole]).toEqual(['hello world', true]);
      });

    test('more bytes than Content-Length: the client gets the length, and the next response is not the rest', async () => {
      const [path, other] = [b.path(), b.path()];
      b.origin.on(path, {
        bytes: `${HEAD}Content-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison`,
        ending: 'keep',
      });
      b.origin.on(other, { headers: { 'Cache-Control': 'max-age=60' }, body: 'other' });
      const first = await b.edge.get(path).catch(() => undefined);
      if (first !== undefined && first.status === 200) expect(first.text.slice(0, 5)).toBe('hello');
      for (let i = 0; i < 5; i++) {
        b.origin.on(`${other}${i}`, { body: `own ${i}` });
        expect((await b.edge.get(`${other}${i}`)).text).toBe(`own ${i}`);
      }
      const connections = b.origin.requests(path).map(({ connection }) => connection);
      for (let i = 0; i < 5; i++) expect(connections).not.toContain(b.origin.requests(`${other}${i}`)[0]!.connection);
    });

    for (const [what, head] of [
      ['two lengths', 'Content-Length: 5\r\nContent-Length: 6\r\n'],
      ['a length that is no number', 'Content-Length: five\r\n'],
      ['a negative length', 'Content-Length: -5\r\n'],
    ] as const)
      test(`${what} are refused`, async () => {
        const path = b.path();
        b.origin.on(path, { bytes: `${HEAD}${head}\r\nhello`, ending: 'end' });
        expect((await b.edge.get(path)).status).toBe(502);
        expect((await b.edge.get(path)).status).toBe(502);
      });

    test('a length beside chunks is refused or overruled, and never stored in doubt', async () => {
      const path = b.path();
      b.origin.on(path, {
        bytes: `${HEAD}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
        ending: 'end',
      });
      const answer = await b.edge.get(path).catch(() => undefined);
      if (answer?.status === 200 && answer.whole) expect(answer.text).toBe('hello');
      else expect([502, 200]).toContain(answer?.status ?? 502);
      const second = await b.edge.get(path).catch(() => undefined);
      if (second?.status === 200 && second.whole) expect(second.text).toBe('hello');
    });

    for (const [what, line] of [
      ['a control byte and Latin-1 in its reason', 'HTTP/1.1 200 caf\xe9\x01'],
      ['a status of four digits', 'HTTP/1.1 1000 x'],
      ['a status of two digits', 'HTTP/1.1 20 OK'],
      ['no reason', 'HTTP/1.1 200 '],
      ['no space after the status', 'HTTP/1.1 200'],
      ['another protocol', 'ICY 200 OK'],
      ['a status of 000', 'HTTP/1.1 000 x'],
      ['a status of 099', 'HTTP/1.1 099 x'],
    ] as const)
      test(`a status line with ${what} ends nothing but its request`, async () => {
        const [path, other] = [b.path(), b.path()];
        b.origin.on(path, {
          bytes: Buffer.from(`${line}\r\nContent-Length: 2\r\nCache-Control: max-age=60\r\n\r\nok`, 'latin1'),
          ending: 'end',
        });
        b.origin.on(other, { body: 'alive' });
        for (let i = 0; i < 2; i++) {
          const answer = await b.edge.get(path);
          if (answer.status === 502) continue;
          expect([answer.status, answer.text]).toEqual([200, 'ok']);
        }
        expect((await b.edge.get(other)).text).toBe('alive');
      });

    for (const [what, field] of [
      ['a control byte in a value', 'X-A: a\x01b'],
      ['Latin-1 in a value', 'X-A: caf\xe9'],
      ['a NUL in Location', 'Location: /a\0b'],
      ['a folded line', 'X-A: a\r\n b'],
      ['a space before its colon', 'X-A : b'],
      ['an empty name', ': b'],
      ['__proto__ for a name', '__proto__: x'],
      ['a bare CR in a value', 'X-A: a\rb'],
      ['no colon', 'X-A'],
    ] as const)
      test(`a field with ${what} ends nothing, and no odd byte goes on`, async () => {
        const [path, other] = [b.path(), b.path()];
        b.origin.on(path, {
          bytes: Buffer.from(`${HEAD}${field}\r\nContent-Length: 2\r\n\r\nok`, 'latin1'),
          ending: 'end',
        });
        b.origin.on(other, { body: 'alive' });
        for (let i = 0; i < 2; i++) {
          const answer = await b.edge.get(path);
          expect([200, 502]).toContain(answer.status);
          if (answer.status === 200) expect(answer.text).toBe('ok');
          expect(answer.raw.join('')).not.toMatch(/[\0-\x08\x0a-\x1f]/);
          expect(answer.raw.some((part) => / $/.test(part) && part.startsWith('X-A'))).toBe(false);
        }
        expect((await b.edge.get(other)).text).toBe('alive');
      });

    for (const trailer of [
      'Content-Length: 100',
      'X-Forwarded-For: evil',
      'Set-Cookie: a=b',
      'Cache-Control: no-store',
    ])
      test(`a trailer ${trailer} is no header field`, async () => {
        const path = b.path();
        b.origin.on(path, {
          bytes: `${HEAD}Trailer: X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n${trailer}\r\n\r\n`,
          ending: 'end',
        });
        const [name = '', value = ''] = trailer.split(': ');
        for (const answer of [await b.edge.get(path), await b.edge.get(path)]) {
          expect([answer.status, answer.text, answer.whole]).toEqual([200, 'hello', true]);
          expect(answer.lines(name.toLowerCase())).not.toContain(value);
          expect(answer.field('trailer')).toBeUndefined();
        }
        expect(b.origin.hits(path)).toBe(1);
      });

    test('a 204 with a body: no body goes on and the connection is not used again', async () => {
      const [path, other] = [b.path(), b.path()];
      b.origin.on(path, {
        bytes: 'HTTP/1.1 204 No Content\r\nCache-Control: max-age=60\r\nContent-Length: 5\r\n\r\nhello',
        ending: 'keep',
      });
      b.origin.on(other, { body: 'own' });
      const answer = await b.edge.get(path);
      expect([[204, 502].includes(answer.status), answer.text.includes('hello')]).toEqual([true, false]);
      expect((await b.edge.get(other)).text).toBe('own');
    });

    for (const size of [
      0,
      1,
      4095,
      4096,
      4097,
      16_383,
      16_384,
      16_385,
      65_536,
      (1 << 20) - 1,
      1 << 20,
      (1 << 20) + 1,
      10 << 20,
    ])
      for (const chunked of [false, true])
        test(`a body of ${size} bytes ${chunked ? 'in chunks' : 'with its length'} is the same on a hit`, async () => {
          const path = b.path();
          const body = placed(size);
          b.origin.on(path, { headers: { 'Cache-Control': 'max-age=60' }, body, chunked });
          const miss = await b.edge.get(path);
          expect([miss.whole, miss.body.equals(body)]).toEqual([true, true]);
          await expect.poll(async () => cacheStatus(await b.edge.get(path)).hit, { timeout: 10_000 }).toBe(true);
          const hit = await b.edge.get(path);
          expect([hit.body.equals(body), hit.field('content-length'), hit.field('transfer-encoding')]).toEqual([
            true,
            String(size),
            undefined,
          ]);
          expect(b.origin.hits(path)).toBe(1);
        });

    test('a response after 103 is stored, and the 103 reaches the client that asked', async () => {
      const path = b.path();
      b.origin.on(path, (_seen, response) => {
        response.writeEarlyHints({ link: '</a.css>; rel=preload' });
        return { headers: { 'Cache-Control': 'max-age=60' }, body: 'x', chunked: true };
      });
      const miss = await b.edge.get(path);
      expect([miss.interim, miss.text]).toEqual([[103], 'x']);
      expect(cacheStatus(await b.edge.get(path)).hit).toBe(true);
    });

    test('a 103 never reaches a client of HTTP/1.0', async () => {
      const path = b.path();
      b.origin.on(path, (_seen, response) => {
        response.writeEarlyHints({ link: '</a.css>; rel=preload' });
        return { headers: { 'Cache-Control': 'no-store' }, body: 'x' };
      });
      const client = await rawClient(b.edge.port);
      client.send(`GET ${path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n`);
      const { text } = await client.closed();
      expect(text).toMatch(/^HTTP\/1.1 200 /);
      expect(text).not.toContain(' 103 ');
    });
  });

describe('kept connections', () => {
  const [b] = benches;

  test('a kept connection that the origin closes just when it is used again costs a GET nothing', async () => {
    const [path, next] = [b.path(), b.path()];
    b.origin.on(path, { body: 'warm' });
    for (let i = 0; i < 4; i++) {
      await b.edge.get(path);
      let used = false;
      b.origin.on(`${next}${i}`, (_seen, response) => {
        if (used) return { body: 'ok' };
        used = true;
        response.socket!.destroy();
        return undefined;
      });
      const answer = await b.edge.get(`${next}${i}`);
      expect([answer.status, answer.text, b.origin.hits(`${next}${i}`)]).toEqual([200, 'ok', 2]);
    }
  });

  test('a POST that reached the origin is not sent twice', async () => {
    const [path, next] = [b.path(), b.path()];
    b.origin.on(path, { body: 'warm' });
    await b.edge.get(path);
    b.origin.on(next, (_seen, response) => void response.socket!.destroy());
    const answer = await b.edge.ask(next, { method: 'POST', body: 'x' });
    expect([answer.status, b.origin.hits(next)]).toEqual([502, 1]);
  });

  test('half a response head is not asked for over and over', async () => {
    const path = b.path();
    b.origin.on(path, { bytes: 'HTTP/1.1 200 OK\r\nContent-Le', ending: 'end' });
    expect((await b.edge.get(path)).status).toBe(502);
    expect(b.origin.hits(path)).toBeLessThanOrEqual(2);
  });

  test('connections are kept between requests', async () => {
    const path = b.path();
    b.origin.on(path, { headers: { 'Cache-Control': 'no-store' }, body: 'x' });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let i = 0; i < 5; i++) await ask(b.edge.port, path, { agent });
    agent.destroy();
    expect(new Set(b.origin.requests(path).map(({ connection }) => connection)).size).toBeLessThanOrEqual(2);
  });
});
