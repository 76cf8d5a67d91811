/**
 * A second reading of requests, by grammar (RFC 9112 §2-7) and regular expressions, that shares no code with the edge:
 * which requests a byte stream contains beyond doubt, and where it stops being clear. What lies behind that place may
 * be refused, but never executed.
 */
import { METHODS } from 'node:http';

export interface ReadRequest {
  readonly method: string;
  /** As sent. */
  readonly target: string;
  readonly host: string;
  readonly version: '1.0' | '1.1';
  /** Lower-case name, value, … */
  readonly fields: readonly (readonly [string, string])[];
  /** Decoded length. */
  readonly bodyLength: number;
  /** Where the next one begins. */
  readonly end: number;
  /** Says itself that it is the last. */
  readonly close: boolean;
}

/** Why the stream has no further request that is beyond doubt. */
export type Stop = 'end' | 'incomplete' | 'malformed' | 'body-unclear';

export interface ReadStream {
  readonly requests: readonly ReadRequest[];
  readonly stop: Stop;
  /** The one whose head is good while its body is not: it may have begun. */
  readonly begun: ReadRequest | undefined;
  readonly stoppedAt: number;
}

/** Runs of spaces in the request line may be taken for one (RFC 9112 §3): our parser does not, node's does. */
const TOKEN = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const LINE = new RegExp(`[\\r\\n]*(${TOKEN}) +([\\x21\\x22\\x24-\\x7e]+) +HTTP/1\\.([01])\\r\\n`, 'y');
const FIELD = new RegExp(`(${TOKEN}):[ \\t]*([\\t\\x20-\\x7e\\x80-\\xff]*)\\r\\n`, 'y');
const HOST = /^(?:\[[0-9A-Fa-f:.]{2,}\]|[A-Za-z0-9._~-]{1,255})(?::[0-9]{0,5})?$/;
const LENGTH = /^(?:0|[1-9][0-9]{0,14})$/;
const CHUNK = /([0-9A-Fa-f]{1,12})(?:;[\t\x20-\x7e\x80-\xff]*)?\r\n/y;
/** Others are refused, CONNECT always. */
const KNOWN_METHODS = new Set(METHODS.filter((method) => method !== 'CONNECT'));

/** Reads from `from`; `most` requests at most. */
export function readRequests(text: string, from = 0, most = Number.POSITIVE_INFINITY): ReadStream {
  const requests: ReadRequest[] = [];
  let at = from;
  const stopped = (stop: Stop, begun?: ReadRequest): ReadStream => ({ requests, stop, begun, stoppedAt: at });
  while (requests.length < most) {
    if (at === text.length) return stopped('end');
    LINE.lastIndex = at;
    const line = LINE.exec(text);
    if (line === null) return stopped(text.indexOf('\r\n\r\n', at) < 0 ? 'incomplete' : 'malformed');
    const [, method = '', target = '', minor = ''] = line;
    let next = LINE.lastIndex;
    const fields: (readonly [string, string])[] = [];
    for (;;) {
      FIELD.lastIndex = next;
      const field = FIELD.exec(text);
      if (field === null) break;
      fields.push([field[1]!.toLowerCase(), field[2]!.replace(/[ \t]+$/, '')]);
      next = FIELD.lastIndex;
    }
    if (text.slice(next, next + 2) !== '\r\n') {
      const open = text.length - next < 20_000 && text.indexOf('\r\n', next) < 0;
      return stopped(open ? 'incomplete' : 'malformed');
    }
    next += 2;
    const version = minor === '1' ? '1.1' : '1.0';
    const all = (name: string) => fields.filter(([one]) => one === name).map(([, value]) => value);
    const [hosts, lengths, codings] = [all('host'), all('content-length'), all('transfer-encoding')];
    const absolute = /^(?:http|https):\/\/([^/?]*)/i.exec(target);
    const good =
      KNOWN_METHODS.has(method) &&
      hosts.length === 1 &&
      HOST.test(hosts[0]!) &&
      (target.startsWith('/') ||
        (target === '*' && method === 'OPTIONS') ||
        (absolute !== null && HOST.test(absolute[1]!))) &&
      lengths.length <= 1 &&
      lengths.every((length) => LENGTH.test(length)) &&
      codings.length <= 1 &&
      (codings.length === 0 || (lengths.length === 0 && version === '1.1' && codings[0]!.toLowerCase() === 'chunked'));
    if (!good) return stopped('malformed');
    const options = all('connection')
      .join(',')
      .toLowerCase()
      .split(',')
      .map((one) => one.trim()); // prettier-ignore
    const close = options.includes('close') || (version === '1.0' && !options.includes('keep-alive'));
    const head = { method, target, host: absolute?.[1] ?? hosts[0]!, version, fields, close } as const;
    if (codings.length > 0) {
      const body = chunkedBody(text, next);
      if (body === undefined) return stopped('body-unclear', { ...head, bodyLength: -1, end: next });
      requests.push({ ...head, bodyLength: body.length, end: body.end });
      at = body.end;
    } else {
      const length = Number(lengths[0] ?? 0);
      if (next + length > text.length) return stopped('body-unclear', { ...head, bodyLength: -1, end: next });
      at = next + length;
      requests.push({ ...head, bodyLength: length, end: at });
    }
    if (close) return stopped('end');
  }
  return stopped('end');
}

function chunkedBody(text: string, from: number): { length: number; end: number } | undefined {
  let at = from;
  let length = 0;
  for (;;) {
    CHUNK.lastIndex = at;
    const chunk = CHUNK.exec(text);
    if (chunk === null) return undefined;
    const size = Number.parseInt(chunk[1]!, 16);
    at = CHUNK.lastIndex;
    if (size === 0) break;
    if (text.slice(at + size, at + size + 2) !== '\r\n') return undefined;
    length += size;
    at += size + 2;
  }
  for (;;) {
    if (text.slice(at, at + 2) === '\r\n') return { length, end: at + 2 };
    FIELD.lastIndex = at;
    if (FIELD.exec(text) === null) return undefined;
    at = FIELD.lastIndex;
  }
}
