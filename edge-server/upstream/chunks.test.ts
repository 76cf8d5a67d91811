import { request } from 'node:http';
import { type AddressInfo, createServer as createRawServer, type Server } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Chunks } from './chunks.ts';

interface Read {
  readonly body: Buffer;
  /** `malformed` with why, `more` for what has not ended, or where the body ended. */
  readonly ending: string | number;
}

/** Reads `bytes` cut at `cuts`. */
function read(bytes: Buffer, cuts: readonly number[] = []): Read {
  const chunks = new Chunks();
  chunks.begin();
  const body: Buffer[] = [];
  const borders = [...new Set([...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b);
  let from = 0;
  for (const to of borders) {
    for (let at = from; ; ) {
      const step = chunks.next(bytes, at, to);
      if (step.kind === 'more') break;
      if (step.kind === 'end') return { body: Buffer.concat(body), ending: step.at };
      if (step.kind === 'malformed') return { body: Buffer.concat(body), ending: `malformed: ${step.why}` };
      expect(step.from).toBeGreaterThanOrEqual(at);
      expect(step.to).toBeLessThanOrEqual(to);
      expect(step.to).toBeGreaterThan(step.from);
      body.push(Buffer.from(bytes.subarray(step.from, step.to)));
      at = step.to;
    }
    from = to;
  }
  return { body: Buffer.concat(body), ending: 'more' };
}

const text = (latin1: string, cuts?: number[]): [string, string | number] => {
  const { body, ending } = read(Buffer.from(latin1, 'latin1'), cuts);
  return [body.toString('latin1'), ending];
};

const token = fc.stringMatching(/^[a-z!#]{1,8}$/);
const encoding = fc.record({
  pieces: fc.array(
    fc.record({
      bytes: fc.uint8Array({ minLength: 1, maxLength: 300 }),
      zeros: fc.integer({ min: 0, max: 3 }),
      capitals: fc.boolean(),
      extension: fc.option(
        fc.oneof(
          token.map((name) => `;${name}`),
          fc.tuple(token, token).map(([name, value]) => `;${name}=${value}`),
          token.map((value) => `;a="${value} \\" ;"`),
        ),
      ),
    }),
    { maxLength: 6 },
  ),
  trailers: fc.array(fc.tuple(token, token), { maxLength: 3 }),
});
const encoded = encoding.map(({ pieces, trailers }) => {
  const parts: Buffer[] = [];
  for (const { bytes, zeros, capitals, extension } of pieces) {
    const size = '0'.repeat(zeros) + bytes.length.toString(16);
    parts.push(Buffer.from(`${capitals ? size.toUpperCase() : size}${extension ?? ''}\r\n`), Buffer.from(bytes));
    parts.push(Buffer.from('\r\n'));
  }
  parts.push(Buffer.from(`0\r\n${trailers.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`));
  return { bytes: Buffer.concat(parts), body: Buffer.concat(pieces.map((piece) => piece.bytes)) };
});
const cuts = fc.array(fc.nat(2000), { maxLength: 12 });

describe('a chunked body', () => {
  it('gives the same body however it is chunked and wherever it is cut', () => {
    fc.assert(
      fc.property(encoded, cuts, fc.uint8Array({ maxLength: 9 }), ({ bytes, body }, where, behind) => {
        const all = Buffer.concat([bytes, behind]);
        const first = read(all, where);
        expect(first.body.equals(body)).toBe(true);
        // In a cut that ends with the body nothing of what is behind is looked at.
        expect(first.ending).toBe(bytes.length);
      }),
      { numRuns: 500 },
    );
  });

  it('cut at every byte is the same', () => {
    const bytes = Buffer.from('3;a="b"\r\nabc\r\n00A \t;x\r\n0123456789\r\n0\r\nx: y\r\nz:\r\n\r\n');
    for (let i = 0; i <= bytes.length; i++)
      expect(read(bytes, [i])).toEqual({ body: Buffer.from('abc0123456789'), ending: bytes.length });
    const each = Array.from(bytes, (_, i) => i);
    expect(read(bytes, each)).toEqual({ body: Buffer.from('abc0123456789'), ending: bytes.length });
  });

  it('that is cut short has not ended, wherever', () => {
    fc.assert(
      fc.property(encoded, fc.nat(), ({ bytes, body }, cut) => {
        const { body: got, ending } = read(bytes.subarray(0, cut % bytes.length));
        expect(ending).toBe('more');
        expect(body.subarray(0, got.length).equals(got)).toBe(true);
      }),
    );
  });

  it.each([
    ['', ['', 'more']],
    ['0\r\n\r\n', ['', 5]],
    ['000\r\n\r\nHTTP/1.1', ['', 7]],
    ['\r\n0\r\n\r\n', ['', 'malformed: chunk size']],
    [' 0\r\n\r\n', ['', 'malformed: chunk size']],
    ['-1\r\n', ['', 'malformed: chunk size']],
    ['+1\r\n', ['', 'malformed: chunk size']],
    ['0x1\r\n', ['', 'malformed: chunk size']],
    ['g\r\n', ['', 'malformed: chunk size']],
    [';a\r\n', ['', 'malformed: chunk size']],
    ['1000000000000\r\n', ['', 'malformed: chunk size']],
    ['1\nx\r\n', ['', 'malformed: chunk size']],
    ['1\rx', ['', 'malformed: chunk size line']],
    ['1;a\nx\r\n', ['', 'malformed: chunk extension']],
    ['1;a\0\r\n', ['', 'malformed: chunk extension']],
    ['1 1\r\n', ['', 'malformed: chunk size line']],
    ['1 \r\nx', ['', 'malformed: chunk size line']],
    ['1\r\nxy', ['x', 'malformed: chunk longer than its size']],
    ['1\r\nx\n', ['x', 'malformed: chunk longer than its size']],
    ['1\r\nx\ry', ['x', 'malformed: chunk end']],
    ['0\r\n\n', ['', 'malformed: trailers']],
    ['0\r\nx: y\n\r\n', ['', 'malformed: trailers']],
    ['0\r\nx: y\rz', ['', 'malformed: trailer line']],
    ['0\r\nx\r\n\r\n', ['', 'malformed: trailer line without a name']],
    ['0\r\n: y\r\n\r\n', ['', 'malformed: trailer line without a name']],
    ['0\r\n\r\r', ['', 'malformed: end of trailers']],
  ])('%j is read as %j', (latin1, expected) => {
    expect(text(latin1)).toEqual(expected);
  });

  it('has no room for endless extensions or trailers', () => {
    expect(text(`1;${'a'.repeat(5000)}`)[1]).toBe('malformed: chunk extension');
    expect(text(`0\r\n${'a: b\r\n'.repeat(5000)}`)[1]).toBe('malformed: trailers');
  });
});

describe('beside node’s own parser', () => {
  let bytes: Buffer = Buffer.alloc(0);
  let server: Server;
  beforeAll(async () => {
    server = createRawServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => {
        socket.end(Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'), bytes]));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  afterAll(() => void server.close());

  /** The body, or `undefined` where node refuses it or it has not ended. */
  function byNode(sent: Buffer): Promise<Buffer | undefined> {
    bytes = sent;
    return new Promise((resolve) => {
      const { port } = server.address() as AddressInfo;
      const asked = request({ port, host: '127.0.0.1', agent: false }, (response) => {
        const pieces: Buffer[] = [];
        response.on('data', (piece: Buffer) => pieces.push(piece));
        response.on('end', () => resolve(Buffer.concat(pieces)));
        response.on('error', () => resolve(undefined));
      });
      asked.on('error', () => resolve(undefined));
      asked.end();
    });
  }

  it('mutated bytes are malformed, or framed as node frames them', async () => {
    const marks = fc.constantFrom(10, 13, 32, 48, 49, 59, 97, 58, 0);
    const mutation = fc.record({ at: fc.nat(), byte: marks, kind: fc.constantFrom('set', 'insert', 'remove') });
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(encoded, fc.array(mutation, { minLength: 1, maxLength: 2 }), async (valid, mutations) => {
        const list = [...valid.bytes];
        for (const { at, byte, kind } of mutations)
          list.splice(at % list.length, kind === 'insert' ? 0 : 1, ...(kind === 'remove' ? [] : [byte]));
        const mutated = Buffer.from(list);
        const ours = read(mutated);
        if (typeof ours.ending !== 'number') return;
        accepted++;
        const theirs = await byNode(mutated);
        // node also holds extensions and trailers, which mean nothing to us, to their grammar.
        if (theirs !== undefined) expect(ours.body.equals(theirs)).toBe(true);
      }),
      { numRuns: 400 },
    );
    expect(accepted).toBeGreaterThan(20);
  });
});
