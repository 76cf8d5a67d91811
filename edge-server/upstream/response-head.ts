/**
 * An HTTP/1.1 response head as bytes, understood strictly (RFC 9112 §4, §5, §6.3): its status, its fields, and how its
 * body ends. What is malformed or ambiguous is no response: an upstream whose framing is in doubt must not be cached.
 */
import { Fields } from '../http/fields.ts';
import { declaredLength } from './upstream-head.ts';

/** How the body ends. `close`: with the connection, so that a cut can't be told from an end (RFC 9112 §8). */
export type BodyFraming =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' }
  | { readonly kind: 'close' };

export interface ParsedHead {
  readonly status: number;
  readonly fields: Fields;
  readonly body: BodyFraming;
  /** The connection may carry another request after this response, as far as its head says. */
  readonly keepAlive: boolean;
}

export type HeadOutcome =
  | { readonly ok: true; readonly head: ParsedHead }
  /** `why`: what is wrong with it, for the log and Proxy-Status. */
  | { readonly ok: false; readonly why: string };

const NO_BODY: BodyFraming = { kind: 'none' };
const CHUNKED: BodyFraming = { kind: 'chunked' };
const UNTIL_CLOSE: BodyFraming = { kind: 'close' };

/** Names as they come, in the lower case that we keep: one string for all responses, so that millions share it. */
const NAMES = new Map<string, string>();
const MOST_NAMES = 2_000;
const LONGEST_KEPT_NAME = 64;
const NAME = /^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/;
/** What no field line may hold (RFC 9110 §5.5); a CR or LF in it would be one that stands alone. */
const FORBIDDEN = /[\0\r\n]/;

/**
 * `text` is the head in Latin-1, from its status line to before the empty line, lines ended by CRLF.
 * `headOnly`: the request was HEAD.
 */
export function parseHead(text: string, headOnly: boolean): HeadOutcome {
  let lineEnd = text.indexOf('\r\n');
  if (lineEnd < 0) lineEnd = text.length;
  const minor = text.charCodeAt(7) - 48;
  const status = statusOf(text, lineEnd);
  if (status < 0 || !text.startsWith('HTTP/1.') || (minor !== 0 && minor !== 1)) return bad('status line');
  // A line that ends with a bare LF would make the fields after it part of the reason phrase.
  if (lineEnd > 12 && FORBIDDEN.test(text.slice(12, lineEnd))) return bad('reason phrase');
  const flat: string[] = [];
  let coding: string | undefined;
  let length = false;
  let connection: string | undefined;
  for (let at = lineEnd + 2; at < text.length; at = lineEnd + 2) {
    lineEnd = text.indexOf('\r\n', at);
    if (lineEnd < 0) lineEnd = text.length;
    const colon = text.indexOf(':', at);
    if (colon < 0 || colon >= lineEnd) return bad('field line without a colon');
    const name = nameOf(text.slice(at, colon));
    if (name === undefined) return bad('field name');
    const value = trimmed(text, colon + 1, lineEnd);
    if (FORBIDDEN.test(value)) return bad('field value');
    flat.push(name, value);
    if (name === 'transfer-encoding') coding = coding === undefined ? value : `${coding}, ${value}`;
    else if (name === 'content-length') length = true;
    else if (name === 'connection') connection = connection === undefined ? value : `${connection}, ${value}`;
  }
  const fields = new Fields(flat);
  const body = framing(fields, { status, headOnly, minor, coding, length });
  if (typeof body === 'string') return bad(body);
  return { ok: true, head: { status, fields, body, keepAlive: kept(connection, minor) && body.kind !== 'close' } };
}

/** RFC 9112 §6.3. A response with both lengths and chunks may be an attack: refused, though it could be read. */
function framing(
  fields: Fields,
  of: { status: number; headOnly: boolean; minor: number; coding: string | undefined; length: boolean },
): BodyFraming | string {
  const { status, coding } = of;
  if (coding !== undefined) {
    if (of.length) return 'both Transfer-Encoding and Content-Length';
    if (of.minor === 0) return 'Transfer-Encoding in HTTP/1.0';
    if (coding.toLowerCase() !== 'chunked') return `Transfer-Encoding ${coding.slice(0, 40)}`;
  }
  if (of.headOnly || status < 200 || status === 204 || status === 304) return NO_BODY;
  if (coding !== undefined) return CHUNKED;
  if (!of.length) return UNTIL_CLOSE;
  const bytes = declaredLength(fields);
  if (bytes === 'conflict' || bytes === undefined) return 'conflicting Content-Length';
  return { kind: 'length', bytes };
}

/** The status code, or -1: three digits of 100 to 999, then a space and whatever reason, or nothing. */
function statusOf(text: string, lineEnd: number): number {
  if (lineEnd < 12 || text.charCodeAt(8) !== 32 || (lineEnd > 12 && text.charCodeAt(12) !== 32)) return -1;
  let status = 0;
  for (let i = 9; i < 12; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (!(digit >= 0 && digit <= 9)) return -1;
    status = status * 10 + digit;
  }
  return status < 100 ? -1 : status;
}

function nameOf(raw: string): string | undefined {
  const known = NAMES.get(raw);
  if (known !== undefined) return known;
  if (!NAME.test(raw)) return undefined;
  const name = raw.toLowerCase();
  // A sliced string would keep the whole head for as long as the name is remembered.
  if (NAMES.size < MOST_NAMES && raw.length <= LONGEST_KEPT_NAME) NAMES.set(flatCopy(raw), flatCopy(name));
  return name;
}

function flatCopy(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}

/** `text[from, to)` without blanks around it (RFC 9110 §5.5). */
function trimmed(text: string, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && blank(text.charCodeAt(start))) start++;
  while (end > start && blank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function blank(code: number): boolean {
  return code === 32 || code === 9;
}

function kept(connection: string | undefined, minor: number): boolean {
  if (connection === undefined) return minor === 1;
  const options = connection.toLowerCase().split(',');
  let keep = minor === 1;
  for (const option of options) {
    const word = option.trim();
    if (word === 'close') return false;
    if (word === 'keep-alive') keep = true;
  }
  return keep;
}

function bad(why: string): HeadOutcome {
  return { ok: false, why };
}
