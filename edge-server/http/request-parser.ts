/**
 * The strict HTTP/1.1 parser for requests without a body (RFC 9112 §2-5): one pass over the bytes, no regular
 * expressions. It answers GET and HEAD itself; what is unusual but possibly legal it leaves to `node:http`
 * (hand-over), what is malformed it refuses. An Upgrade is ignored, as a server may (RFC 9110 §7.8). The answer depends on the bytes alone, never on how they were split:
 * once it is not `incomplete`, more bytes don't change it.
 */
import { splitTarget } from './authority.ts';
import { Fields } from './fields.ts';
import type { HttpLimits } from './limits.ts';
import { fieldsVerdict, type RefusalReason } from './request-rules.ts';

export interface ParsedHead {
  readonly method: 'GET' | 'HEAD';
  /** Origin-form; absolute-form has been split. */
  readonly target: string;
  /** Host, or the authority of an absolute-form target. `fields` carry the same value as `host`. */
  readonly authority: string;
  readonly fields: Fields;
  /** False after `Connection: close`. */
  readonly keepAlive: boolean;
}

export type HandOverReason = 'method' | 'http/1.0' | 'body' | 'expect';

export type ParseOutcome =
  | { readonly kind: 'complete' /** Where the next request begins. */; readonly end: number; readonly head: ParsedHead }
  | { readonly kind: 'incomplete' }
  | {
      readonly kind: 'refuse';
      readonly status: 400 | 414 | 431 | 505;
      readonly reason: RefusalReason;
      /** It is a HEAD, whose refusal has no body either. */
      readonly head: boolean;
    }
  | { readonly kind: 'hand-over'; readonly why: HandOverReason };

const [HT, LF, CR, SP, COLON] = [9, 10, 13, 32, 58];
const MOST_EMPTY_LINES = 2;
const INCOMPLETE: ParseOutcome = { kind: 'incomplete' };
const TOKEN = byteTable((c) => /[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(String.fromCharCode(c)));
const VALUE = byteTable((c) => c === HT || (c >= SP && c !== 127));
const TARGET = byteTable((c) => c > SP && c < 127 && c !== 35);

type ParserLimits = Pick<HttpLimits, 'requestLineBytes' | 'fieldBytes' | 'fieldLines'>;

/** One for a worker: it owns the scratch space for line positions. */
export class RequestParser {
  readonly #limits: ParserLimits;
  /** For each field line: where name and value begin and end, relative to the head. */
  readonly #places: Int32Array;

  constructor(limits: ParserLimits) {
    this.#limits = limits;
    this.#places = new Int32Array(limits.fieldLines * 4);
  }

  /** Reads one request head from `bytes[start, end)`. `scheme` is the connection's. */
  parse(bytes: Buffer, start: number, end: number, scheme: 'http' | 'https'): ParseOutcome {
    let at = start;
    // An empty line or two before a request is forgiven (RFC 9112 §2.2).
    while (at < end && bytes[at] === CR) {
      if (at - start >= MOST_EMPTY_LINES * 2) return refuse(400, 'empty-lines');
      if (at + 1 === end) return INCOMPLETE;
      if (bytes[at + 1] !== LF) return refuse(400, 'bare-cr');
      at += 2;
    }
    const headAt = at;
    const { requestLineBytes, fieldBytes, fieldLines } = this.#limits;
    const lineTooLong = end - headAt >= requestLineBytes;
    const lineEnd = lineTooLong ? headAt + requestLineBytes : end;

    while (at < lineEnd && TOKEN[bytes[at]!] === 1) at++;
    if (at === lineEnd) return lineTooLong ? refuse(414, 'request-line-too-long') : INCOMPLETE;
    if (at === headAt || bytes[at] !== SP) return refuse(400, bytes[at] === LF ? 'bare-lf' : 'method');
    const methodLength = at - headAt;
    const method =
      methodLength === 3 && isGet(bytes, headAt) ? 'GET' : isHead(bytes, headAt, methodLength) ? 'HEAD' : '';
    if (method === '') return { kind: 'hand-over', why: 'method' };
    const head = method === 'HEAD';

    const targetAt = ++at;
    while (at < lineEnd && TARGET[bytes[at]!] === 1) at++;
    if (at === lineEnd) return lineTooLong ? refuse(414, 'request-line-too-long', head) : INCOMPLETE;
    if (bytes[at] !== SP || at === targetAt) return refuse(400, targetReason(bytes[at]!), head);
    const targetEnd = at++;

    if (at + 10 > lineEnd) return lineTooLong ? refuse(414, 'request-line-too-long', head) : INCOMPLETE;
    const version = versionAt(bytes, at);
    if (version === 'other') return refuse(505, 'version', head);
    if (version === undefined) return refuse(400, bytes[at + 8] === LF ? 'bare-lf' : 'version', head);
    at += 10;

    const fieldsAt = at;
    const fieldsTooLarge = end - fieldsAt >= fieldBytes;
    const fieldsEnd = fieldsTooLarge ? fieldsAt + fieldBytes : end;
    const short = fieldsTooLarge ? refuse(431, 'fields-too-large', head) : INCOMPLETE;
    const places = this.#places;
    let lines = 0;
    for (;;) {
      if (at === fieldsEnd) return short;
      if (bytes[at] === CR) {
        if (at + 1 === fieldsEnd) return short;
        if (bytes[at + 1] !== LF) return refuse(400, 'bare-cr', head);
        at += 2;
        break;
      }
      if (lines === fieldLines) return refuse(431, 'field-lines', head);
      const nameAt = at;
      while (at < fieldsEnd && TOKEN[bytes[at]!] === 1) at++;
      if (at === fieldsEnd) return short;
      if (bytes[at] !== COLON || at === nameAt) return refuse(400, nameReason(bytes[at]!, at === nameAt), head);
      const nameEnd = at++;
      while (at < fieldsEnd && (bytes[at] === SP || bytes[at] === HT)) at++;
      const valueAt = at;
      while (at < fieldsEnd && VALUE[bytes[at]!] === 1) at++;
      if (at === fieldsEnd) return short;
      if (bytes[at] !== CR) return refuse(400, bytes[at] === LF ? 'bare-lf' : 'field-value', head);
      if (at + 1 === fieldsEnd) return short;
      if (bytes[at + 1] !== LF) return refuse(400, 'bare-cr', head);
      let valueEnd = at;
      while (valueEnd > valueAt && (bytes[valueEnd - 1] === SP || bytes[valueEnd - 1] === HT)) valueEnd--;
      places[lines * 4] = nameAt - headAt;
      places[lines * 4 + 1] = nameEnd - headAt;
      places[lines * 4 + 2] = valueAt - headAt;
      places[lines * 4 + 3] = valueEnd - headAt;
      lines++;
      at += 2;
    }
    const text = bytes.toString('latin1', headAt, at);
    return this.#understand(text, {
      method,
      rawTarget: text.slice(targetAt - headAt, targetEnd - headAt),
      version,
      lines,
      end: at,
      scheme,
    });
  }

  #understand(text: string, line: RequestLine): ParseOutcome {
    const places = this.#places;
    const flat = new Array<string>(line.lines * 2);
    for (let i = 0; i < line.lines; i++) {
      flat[i * 2] = text.slice(places[i * 4], places[i * 4 + 1]).toLowerCase();
      flat[i * 2 + 1] = text.slice(places[i * 4 + 2], places[i * 4 + 3]);
    }
    const isHead = line.method === 'HEAD';
    const split = splitTarget(line.method, line.rawTarget, line.scheme);
    if (split.kind === 'refused') return refuse(400, split.reason, isHead);
    const verdict = fieldsVerdict(flat, line.version);
    if (verdict.kind === 'refused') return refuse(400, verdict.reason, isHead);
    if (line.version === '1.0') return { kind: 'hand-over', why: 'http/1.0' };
    if (verdict.body !== 'none') return { kind: 'hand-over', why: 'body' };
    if (verdict.expects) return { kind: 'hand-over', why: 'expect' };
    const fields = new Fields(flat);
    if (split.authority !== undefined && split.authority !== verdict.host) fields.set('host', split.authority);
    const head: ParsedHead = {
      method: line.method,
      target: split.target,
      authority: split.authority ?? verdict.host,
      fields,
      keepAlive: verdict.keepAlive,
    };
    return { kind: 'complete', end: line.end, head };
  }
}

interface RequestLine {
  readonly method: 'GET' | 'HEAD';
  readonly rawTarget: string;
  readonly version: '1.0' | '1.1';
  readonly lines: number;
  readonly end: number;
  readonly scheme: 'http' | 'https';
}

function byteTable(allowed: (code: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, code) => (allowed(code) ? 1 : 0));
}

function refuse(status: 400 | 414 | 431 | 505, reason: RefusalReason, head = false): ParseOutcome {
  return { kind: 'refuse', status, reason, head };
}

function isGet(bytes: Buffer, at: number): boolean {
  return bytes[at] === 71 && bytes[at + 1] === 69 && bytes[at + 2] === 84;
}

function isHead(bytes: Buffer, at: number, length: number): boolean {
  return length === 4 && bytes[at] === 72 && bytes[at + 1] === 69 && bytes[at + 2] === 65 && bytes[at + 3] === 68;
}

/** `HTTP/1.1` and CRLF at `at`; `other` for a well-formed version that is neither 1.0 nor 1.1. */
function versionAt(bytes: Buffer, at: number): '1.0' | '1.1' | 'other' | undefined {
  if (bytes[at] !== 72 || bytes[at + 1] !== 84 || bytes[at + 2] !== 84 || bytes[at + 3] !== 80) return undefined;
  if (bytes[at + 4] !== 47 || bytes[at + 6] !== 46 || bytes[at + 8] !== CR || bytes[at + 9] !== LF) return undefined;
  const major = bytes[at + 5]!;
  const minor = bytes[at + 7]!;
  if (major === 49 && minor === 49) return '1.1';
  if (major === 49 && minor === 48) return '1.0';
  return major >= 48 && major <= 57 && minor >= 48 && minor <= 57 ? 'other' : undefined;
}

function targetReason(byte: number): RefusalReason {
  if (byte === 35) return 'target-fragment';
  if (byte === LF) return 'bare-lf';
  return byte === CR ? 'version' : 'target-syntax';
}

function nameReason(byte: number, empty: boolean): RefusalReason {
  if (byte === LF) return 'bare-lf';
  if (byte === SP || byte === HT) return empty ? 'obs-fold' : 'space-before-colon';
  return 'field-name';
}
