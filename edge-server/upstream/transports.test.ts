/**
 * The same bytes of an origin through our own connections and through undici: what one takes for a response the other
 * takes for the same, and what is an error to one is an error to the other. Where they may differ says `reasonFor`.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../runtime/clock.ts';
import { Fields } from '../http/fields.ts';
import { Http1Transport } from './http1-transport.ts';
import { Heard, RawOrigin } from './raw-origin.ts';
import type { Transport, TransportLimits } from './transport.ts';
import { UndiciTransport } from './undici-transport.ts';

const LIMITS: TransportLimits = { connectMillis: 3_000, headMillis: 5_000, betweenBytesMillis: 5_000, connections: 4 };

type Coding = 'length' | 'short' | 'long' | 'chunked' | 'chunks cut' | 'chunks broken' | 'close' | 'both' | 'lengths';

interface Said {
  readonly method: 'GET' | 'HEAD';
  readonly status: number;
  readonly early: number;
  readonly coding: Coding;
  readonly body: string;
  readonly fields: readonly (readonly [string, string])[];
  readonly trailers: boolean;
  readonly version: '1.0' | '1.1';
  readonly behind: string;
  readonly cut: number | undefined;
}

const said = fc.record<Said>({
  method: fc.constantFrom('GET', 'GET', 'GET', 'HEAD'),
  status: fc.constantFrom(200, 200, 200, 206, 204, 304, 404, 500, 599),
  early: fc.constantFrom(0, 0, 0, 1, 2),
  coding: fc.constantFrom(
    'length',
    'short',
    'long',
    'chunked',
    'chunks cut',
    'chunks broken',
    'close',
    'both',
    'lengths',
  ),
  body: fc.string({ unit: fc.constantFrom('a', 'b', '\r', '\n', '0', ':'), maxLength: 60 }),
  fields: fc.array(
    fc.tuple(
      fc.stringMatching(/^[A-Za-z][A-Za-z-]{0,8}$/).map((name) => `X-${name}`),
      fc.stringMatching(/^[ -~]{0,20}$/),
    ),
    { maxLength: 3 },
  ),
  trailers: fc.boolean(),
  version: fc.constantFrom('1.1', '1.1', '1.1', '1.0'),
  behind: fc.constantFrom('', '', '', 'X', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx'),
  cut: fc.option(fc.nat(400), { freq: 4, nil: undefined }),
});

function bytesOf(one: Said): Buffer {
  const { body, coding, fields } = one;
  const lines = [`HTTP/${one.version} ${one.status} Said`, ...fields.map(([name, value]) => `${name}: ${value}`)];
  const half = body.length >> 1;
  const chunk = (text: string): string => (text === '' ? '' : `${text.length.toString(16)};e=f\r\n${text}\r\n`);
  const chunked = chunk(body.slice(0, half)) + chunk(body.slice(half));
  const last = `0\r\n${one.trailers ? 'X-Trailer: t\r\n' : ''}\r\n`;
  let sent = body;
  switch (coding) {
    case 'length':
      lines.push(`Content-Length: ${body.length}`);
      break;
    case 'short':
      lines.push(`Content-Length: ${body.length + 3}`);
      break;
    case 'long':
      lines.push(`Content-Length: ${half}`);
      break;
    case 'both':
      lines.push('Transfer-Encoding: chunked', `Content-Length: ${body.length}`);
      sent = chunked + last;
      break;
    case 'lengths':
      lines.push(`Content-Length: ${body.length}`, `Content-Length: ${body.length + 1}`);
      break;
    case 'close':
      break;
    default:
      lines.push('Transfer-Encoding: chunked');
      sent = coding === 'chunked' ? chunked + last : coding === 'chunks cut' ? chunked : `${chunked}zz\r\n\r\n`;
  }
  if (one.method === 'HEAD' || one.status === 204 || one.status === 304) sent = '';
  const early = 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'.repeat(one.early);
  const all = `${early}${lines.join('\r\n')}\r\n\r\n${sent}${one.behind}`;
  return Buffer.from(one.cut === undefined ? all : all.slice(0, one.cut), 'latin1');
}

interface Result {
  /** `whole`, or an error of whatever kind. */
  readonly ending: string;
  readonly status: number;
  readonly informed: number;
  readonly fields: readonly string[];
  readonly body: string;
}

function resultOf({ words, status, fields, body }: Heard): Result {
  if (words.at(-1) !== 'end') return { ending: 'error', status: 0, informed: 0, fields: [], body: '' };
  return {
    ...{ ending: 'whole', status, informed: words.filter((word) => word.startsWith('inform')).length },
    // Blanks behind a value are not of it (RFC 9110 §5.5); llhttp leaves them on.
    ...{ fields: fields!.flat.map((text) => text.trim()), body: body.toString('latin1') },
  };
}

/** Why the two may say different things about the same bytes; `undefined`: they may not. */
function reasonFor(one: Said, ours: Result, theirs: Result): string | undefined {
  const bodiless = one.method === 'HEAD' || one.status === 204 || one.status === 304;
  const more = one.behind !== '' || one.coding === 'long';
  // The response had come whole before what is behind it; ours ends the exchange there, undici the whole connection.
  if (more && ours.ending === 'whole' && theirs.ending === 'error') return 'bytes behind a whole response';
  // A length that is no part of the framing: llhttp refuses two of them in any head, and so do we where it matters.
  if (bodiless && one.coding === 'lengths' && theirs.ending === 'error') return 'two lengths and no body';
  // RFC 9112 §6.1: chunks in HTTP/1.0 are faulty framing. We refuse, llhttp reads them.
  if (one.version === '1.0' && ours.ending === 'error' && /chunk/.test(one.coding)) return 'chunks in HTTP/1.0';
  return undefined;
}

describe('our own connections and undici', () => {
  let origin: RawOrigin;
  let own: Transport;
  let undici: Transport;
  beforeAll(async () => {
    origin = await RawOrigin.listen();
    own = new Http1Transport({ host: '127.0.0.1', port: origin.port }, LIMITS, systemClock);
    undici = new UndiciTransport(`http://127.0.0.1:${origin.port}`, LIMITS, undefined);
  });
  afterAll(async () => {
    await own.close();
    await undici.close();
    await origin.close();
  });

  async function through(transport: Transport, method: string, bytes: Buffer): Promise<Heard> {
    const heard = new Heard();
    const fields = new Fields(['host', 'www.example.org']);
    transport.dispatch({ method, target: '/', fields, body: undefined }, heard, true);
    (await origin.asked()).socket.end(bytes);
    return heard.over;
  }

  it('take the same bytes for the same response, or both for an error', async () => {
    const seen = { whole: 0, error: 0 };
    await fc.assert(
      fc.asyncProperty(said, async (one) => {
        const bytes = bytesOf(one);
        const ours = resultOf(await through(own, one.method, bytes));
        const theirs = resultOf(await through(undici, one.method, bytes));
        seen[ours.ending as 'whole' | 'error']++;
        if (reasonFor(one, ours, theirs) === undefined) expect(ours).toEqual(theirs);
      }),
      { numRuns: 600 },
    );
    // Both kinds are really among them.
    expect(seen.whole).toBeGreaterThan(100);
    expect(seen.error).toBeGreaterThan(100);
  }, 30_000);
});
