import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type BodyFraming, parseHead } from './response-head.ts';

const head = (...lines: string[]): string => ['HTTP/1.1 200 OK', ...lines].join('\r\n');

/** What becomes of a head, in a word: its framing, or why it is none. */
function outcome(text: string, headOnly = false): string {
  const parsed = parseHead(text, headOnly);
  if (!parsed.ok) return `refused: ${parsed.why}`;
  const { body } = parsed.head;
  return body.kind === 'length' ? `length ${body.bytes}` : body.kind;
}

describe('a response head', () => {
  it.each([
    ['HTTP/1.1 200 OK', 'close'],
    ['HTTP/1.1 200', 'close'],
    ['HTTP/1.1 200 ', 'close'],
    ['HTTP/1.0 200 OK', 'close'],
    ['HTTP/1.1 999 \xe9', 'close'],
    ['HTTP/1.1 099 OK', 'refused: status line'],
    ['HTTP/1.1 20 OK', 'refused: status line'],
    ['HTTP/1.1 2000 OK', 'refused: status line'],
    ['HTTP/1.1  200 OK', 'refused: status line'],
    ['HTTP/1.1 200OK', 'refused: status line'],
    ['HTTP/1.2 200 OK', 'refused: status line'],
    ['HTTP/2.0 200 OK', 'refused: status line'],
    ['http/1.1 200 OK', 'refused: status line'],
    ['\r\nHTTP/1.1 200 OK', 'refused: status line'],
    [' HTTP/1.1 200 OK', 'refused: status line'],
    ['ICY 200 OK', 'refused: status line'],
    ['', 'refused: status line'],
    ['HTTP/1.1 200 OK\nContent-Length: 5', 'refused: reason phrase'],
    ['HTTP/1.1 200 OK\rContent-Length: 5', 'refused: reason phrase'],
    ['HTTP/1.1 200 O\0K', 'refused: reason phrase'],
  ])('%j is read as %s', (text, expected) => {
    expect(outcome(text)).toBe(expected);
  });

  it.each([
    [['Content-Length: 5'], 'length 5'],
    [['Content-Length:5 \t'], 'length 5'],
    [['Content-Length: 0'], 'length 0'],
    [['Content-Length: 5', 'content-length: 5'], 'length 5'],
    [['Content-Length: 5, 5'], 'length 5'],
    [['Content-Length: 5', 'Content-Length: 6'], 'refused: conflicting Content-Length'],
    [['Content-Length: 5, 6'], 'refused: conflicting Content-Length'],
    [['Content-Length: +5'], 'refused: conflicting Content-Length'],
    [['Content-Length: -5'], 'refused: conflicting Content-Length'],
    [['Content-Length: 0x5'], 'refused: conflicting Content-Length'],
    [['Content-Length: 5.0'], 'refused: conflicting Content-Length'],
    [['Content-Length:'], 'refused: conflicting Content-Length'],
    [['Content-Length: 5 5'], 'refused: conflicting Content-Length'],
    [['Content-Length: 9999999999999999'], 'refused: conflicting Content-Length'],
    [['Transfer-Encoding: chunked'], 'chunked'],
    [['Transfer-Encoding: Chunked'], 'chunked'],
    [['Transfer-Encoding: chunked', 'Content-Length: 5'], 'refused: both Transfer-Encoding and Content-Length'],
    [['Content-Length: 5', 'Transfer-Encoding: chunked'], 'refused: both Transfer-Encoding and Content-Length'],
    [['Transfer-Encoding: identity', 'Content-Length: 5'], 'refused: both Transfer-Encoding and Content-Length'],
    [['Transfer-Encoding: gzip, chunked'], 'refused: Transfer-Encoding gzip, chunked'],
    [['Transfer-Encoding: chunked, gzip'], 'refused: Transfer-Encoding chunked, gzip'],
    [['Transfer-Encoding: chunked, chunked'], 'refused: Transfer-Encoding chunked, chunked'],
    [['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'], 'refused: Transfer-Encoding chunked, chunked'],
    [['Transfer-Encoding: xchunked'], 'refused: Transfer-Encoding xchunked'],
    [['Transfer-Encoding: chunked;q=1'], 'refused: Transfer-Encoding chunked;q=1'],
    [['Transfer-Encoding: \x0bchunked'], 'refused: Transfer-Encoding \x0bchunked'],
    [['Transfer-Encoding:'], 'refused: Transfer-Encoding '],
    [['Transfer-Encoding : chunked'], 'refused: field name'],
    [[' Transfer-Encoding: chunked'], 'refused: field name'],
    [['X: a', '\tb: folded'], 'refused: field name'],
    [['X: a', ' folded'], 'refused: field line without a colon'],
    [['no colon'], 'refused: field line without a colon'],
    [[': empty name'], 'refused: field name'],
    [['N\xe4me: x'], 'refused: field name'],
    [['X: a\nContent-Length: 5'], 'refused: field value'],
    [['X: a\rContent-Length: 5'], 'refused: field value'],
    [['X: a\0'], 'refused: field value'],
  ])('with %j is read as %s', (lines, expected) => {
    expect(outcome(head(...lines))).toBe(expected);
  });

  it('has no body where the request or the status says so, whatever the fields say (RFC 9112 §6.3)', () => {
    for (const field of ['Content-Length: 5', 'Transfer-Encoding: chunked', 'X: y']) {
      expect(outcome(head(field), true)).toBe('none');
      for (const status of [100, 103, 199, 204, 304]) expect(outcome(`HTTP/1.1 ${status} x\r\n${field}`)).toBe('none');
    }
  });

  it('refuses chunks in HTTP/1.0, and what is ambiguous also where there is no body', () => {
    expect(outcome('HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked')).toBe('refused: Transfer-Encoding in HTTP/1.0');
    const both = ['Transfer-Encoding: chunked', 'Content-Length: 5'] as const;
    expect(outcome(head(...both), true)).toBe('refused: both Transfer-Encoding and Content-Length');
    expect(outcome(['HTTP/1.1 304 x', ...both].join('\r\n'))).toBe(
      'refused: both Transfer-Encoding and Content-Length',
    );
  });

  it.each([
    ['HTTP/1.1', [], true],
    ['HTTP/1.1', ['Connection: close'], false],
    ['HTTP/1.1', ['Connection: keep-alive, Close'], false],
    ['HTTP/1.1', ['Connection: x', 'Connection: close'], false],
    ['HTTP/1.1', ['Connection: closed'], true],
    ['HTTP/1.0', [], false],
    ['HTTP/1.0', ['Connection: Keep-Alive'], true],
    ['HTTP/1.0', ['Connection: keep-alive, close'], false],
  ])('%s with %j leaves the connection open: %s', (version, lines, keepAlive) => {
    const parsed = parseHead([`${version} 200 OK`, 'Content-Length: 0', ...lines].join('\r\n'), false);
    expect(parsed.ok && parsed.head.keepAlive).toBe(keepAlive);
  });

  it('never keeps a connection whose end is the end of the body', () => {
    const parsed = parseHead(head('Connection: keep-alive'), false);
    expect(parsed.ok && parsed.head.keepAlive).toBe(false);
  });

  const latin1 = fc
    .array(fc.integer({ min: 0, max: 255 }), { maxLength: 120 })
    .map((codes) => String.fromCharCode(...codes));
  const piece = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.constantFrom('\r\n', ':', ' ', '\t', ',', '5', 'Content-Length: ', 'Transfer-Encoding: '),
    },
    {
      weight: 2,
      arbitrary: fc.constantFrom('chunked', 'Connection: close', 'X-a', '\n', '\r', '\0', 'HTTP/1.1 200 OK\r\n'),
    },
    latin1,
  );
  const nearlyHeads = fc.array(piece, { maxLength: 24 }).map((pieces) => `HTTP/1.1 200 OK\r\n${pieces.join('')}`);

  it('of any text is read or refused, never thrown at, and what is read says itself again', () => {
    fc.assert(
      fc.property(fc.oneof(latin1, nearlyHeads), fc.boolean(), (text, headOnly) => {
        const parsed = parseHead(text, headOnly);
        if (!parsed.ok) return;
        const { status, fields, body, keepAlive } = parsed.head;
        for (const one of fields.flat) expect(one).not.toMatch(/[\0\r\n]/);
        const lines = [];
        for (let i = 0; i < fields.flat.length; i += 2) lines.push(`${fields.flat[i]}: ${fields.flat[i + 1]}`);
        const again = parseHead([`${text.slice(0, 8)} ${status}`, ...lines].join('\r\n'), headOnly);
        expect(again).toEqual({ ok: true, head: { status, fields, body, keepAlive } });
        // One reader could take it for chunks and another for a length: then it must have been refused.
        expect(fields.has('content-length') && fields.has('transfer-encoding')).toBe(false);
        const none: BodyFraming = { kind: 'none' };
        if (headOnly || status < 200 || status === 204 || status === 304) expect(body).toEqual(none);
      }),
      { numRuns: 3000 },
    );
  });
});
