/**
 * What every HTTP/1 front end demands of a request's fields, whoever split them into lines (RFC 9112 §3.2, §6):
 * one Host, and a body whose end is beyond doubt. Pure. Syntax of lines is the parsers' part.
 */
import { type AuthorityProblem, authorityProblem, type TargetProblem } from './authority.ts';

/** Why a request is refused: the same word stands in the log, in `Proxy-Status; details=` and in tests. */
export type RefusalReason =
  | TargetProblem
  | AuthorityProblem
  | 'bare-cr'
  | 'bare-lf'
  | 'connect'
  | 'content-length-syntax'
  | 'empty-lines'
  | 'field-lines'
  | 'field-name'
  | 'field-value'
  | 'fields-too-large'
  | 'header-timeout'
  | 'host-missing'
  | 'host-repeated'
  | 'length-and-chunked'
  | 'malformed'
  | 'method'
  | 'obs-fold'
  | 'request-line-too-long'
  | 'expectation'
  | 'space-before-colon'
  | 'transfer-encoding'
  | 'unframed-body'
  | 'version';

export type FieldsVerdict =
  | {
      readonly kind: 'good';
      readonly host: string;
      readonly body: 'none' | 'length' | 'chunked';
      /** The connection may be kept after the response, as far as this request says. */
      readonly keepAlive: boolean;
      /** Carries Expect: somebody must answer it before the body comes. */
      readonly expects: boolean;
    }
  | { readonly kind: 'refused'; readonly reason: RefusalReason };

/** `flat` is lower-case name, value, …; `version` that of the request line. */
export function fieldsVerdict(flat: readonly string[], version: '1.0' | '1.1'): FieldsVerdict {
  let host: string | undefined;
  let length: string | undefined;
  let coding: string | undefined;
  let keepAlive = version === '1.1';
  let expects = false;
  for (let i = 0; i < flat.length; i += 2) {
    const name = flat[i]!;
    const value = flat[i + 1]!;
    switch (name) {
      case 'host':
        if (host !== undefined) return refused('host-repeated');
        host = value;
        break;
      case 'content-length':
        if (length !== undefined || !isLength(value)) return refused('content-length-syntax');
        length = value;
        break;
      case 'transfer-encoding':
        if (coding !== undefined) return refused('transfer-encoding');
        coding = value;
        break;
      case 'connection':
        if (hasToken(value, 'close')) keepAlive = false;
        else if (version === '1.0' && hasToken(value, 'keep-alive')) keepAlive = true;
        break;
      case 'expect':
        expects = true;
        break;
      default:
    }
  }
  if (coding !== undefined) {
    if (length !== undefined) return refused('length-and-chunked');
    if (version === '1.0' || coding.toLowerCase() !== 'chunked') return refused('transfer-encoding');
  }
  if (host === undefined) return refused('host-missing');
  const problem = authorityProblem(host);
  if (problem !== undefined) return refused(problem);
  const body = coding !== undefined ? 'chunked' : length !== undefined && length !== '0' ? 'length' : 'none';
  return { kind: 'good', host, body, keepAlive, expects };
}

/** Decimal digits, without leading zeros that some read as octal, small enough to count exactly. */
export function isLength(value: string): boolean {
  if (value.length === 0 || value.length > 15 || (value.length > 1 && value.charCodeAt(0) === 48)) return false;
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if (code < 48 || code > 57) return false;
  }
  return true;
}

/** Whether a comma-separated list holds a token, in any case. */
export function hasToken(list: string, token: string): boolean {
  if (list.length === token.length) return list === token || list.toLowerCase() === token;
  if (list.length < token.length) return false;
  return list
    .toLowerCase()
    .split(',')
    .some((one) => one.trim() === token);
}

function refused(reason: RefusalReason): FieldsVerdict {
  return { kind: 'refused', reason };
}
