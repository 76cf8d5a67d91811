/**
 * Reads what a connection answered, strictly: status line, fields and framing exact (RFC 9112 §4-7), one answer after
 * the other. What is not exact is a complaint, never guessed at.
 */

export interface ReadAnswer {
  readonly status: number;
  readonly fields: ReadonlyMap<string, string>;
  readonly body: string;
  /** The framing says that nothing is missing. */
  readonly whole: boolean;
  readonly close: boolean;
  readonly chunked: boolean;
}

export type AnswersRead =
  | { readonly kind: 'read'; readonly answers: readonly ReadAnswer[] }
  | { readonly kind: 'complaint'; readonly answers: readonly ReadAnswer[]; readonly what: string; readonly at: number };

const STATUS_LINE = /HTTP\/1\.1 ([1-5][0-9]{2}) ([\t\x20-\x7e\x80-\xff]*)\r\n/y;
const FIELD = /([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([\t\x20-\x7e\x80-\xff]*)\r\n/y;
const CHUNK = /([0-9a-fA-F]{1,12})\r\n/y;
/** At most one line of these. */
const SINGULAR = new Set(['content-length', 'transfer-encoding', 'content-range', 'age', 'date', 'etag', 'location']);

/** `methodOf(k)`: the method of the request that answer `k` belongs to. */
export function readAnswers(text: string, methodOf: (k: number) => string): AnswersRead {
  const answers: ReadAnswer[] = [];
  let at = 0;
  const complaint = (what: string): AnswersRead => ({ kind: 'complaint', answers, what, at });
  while (at < text.length) {
    const begin = at;
    STATUS_LINE.lastIndex = at;
    const line = STATUS_LINE.exec(text);
    if (line === null) return complaint('no status line');
    const status = Number(line[1]);
    let next = STATUS_LINE.lastIndex;
    const fields = new Map<string, string>();
    for (;;) {
      FIELD.lastIndex = next;
      const field = FIELD.exec(text);
      if (field === null) break;
      const name = field[1]!.toLowerCase();
      const before = fields.get(name);
      if (before !== undefined && SINGULAR.has(name)) return complaint(`${name} twice`);
      fields.set(name, before === undefined ? field[2]! : `${before}, ${field[2]!}`);
      next = FIELD.lastIndex;
    }
    if (text.slice(next, next + 2) !== '\r\n') return complaint('a field line is malformed or missing');
    at = next + 2;
    const length = fields.get('content-length');
    const coding = fields.get('transfer-encoding');
    if (status < 200) {
      if (status === 101) return complaint('an upgrade that nobody may make');
      if (length !== undefined || coding !== undefined) return complaint('an interim answer with framing');
      continue;
    }
    const close = (fields.get('connection') ?? '').toLowerCase() === 'close';
    const bodiless = methodOf(answers.length) === 'HEAD' || status === 204 || status === 304;
    if (length !== undefined && coding !== undefined) return complaint('both framings');
    if (status === 204 && (length !== undefined || coding !== undefined)) return complaint('204 with framing');
    const push = (body: string, whole: boolean) =>
      answers.push({ status, fields, body, whole, close, chunked: coding !== undefined });
    if (length !== undefined && !/^(?:0|[1-9][0-9]*)$/.test(length)) return complaint('Content-Length');
    if (bodiless) push('', true);
    else if (length !== undefined) {
      const end = at + Number(length);
      push(text.slice(at, end), end <= text.length);
      at = Math.min(end, text.length);
    } else if (coding !== undefined) {
      if (coding !== 'chunked') return complaint(`Transfer-Encoding: ${coding}`);
      const parts: string[] = [];
      let whole = false;
      for (;;) {
        CHUNK.lastIndex = at;
        const chunk = CHUNK.exec(text);
        if (chunk === null) {
          if (text.length - at > 16) return complaint('a chunk size');
          break;
        }
        const size = Number.parseInt(chunk[1]!, 16);
        const dataAt = CHUNK.lastIndex;
        parts.push(text.slice(dataAt, dataAt + size));
        const tail = text.slice(dataAt + size, dataAt + size + 2);
        if (tail !== '\r\n') {
          if (dataAt + size + 2 <= text.length) return complaint('the end of a chunk');
          break;
        }
        at = dataAt + size + 2;
        if (size === 0) {
          whole = true;
          break;
        }
      }
      push(parts.join(''), whole);
      if (!whole) at = text.length;
    } else {
      if (!close) return complaint('a body without framing on a kept connection');
      push(text.slice(at), true);
      at = text.length;
    }
    if (at === begin) return complaint('no progress');
    if (close && at < text.length) return complaint('bytes after an answer that closes');
  }
  return { kind: 'read', answers };
}
