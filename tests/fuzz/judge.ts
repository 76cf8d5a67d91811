/** Holds what a connection answered against what was sent on it: in order, well framed, and nothing that was not asked. */
import { type ReadAnswer, readAnswers } from './answer-reading.ts';
import { bodyOf, tagOf } from './hostile-origin.ts';
import type { ReadRequest, ReadStream } from './request-reading.ts';

export interface Verdict {
  /** Why it is wrong; `undefined` when all is well. */
  readonly complaint: string | undefined;
  readonly answers: readonly ReadAnswer[];
}

/** Statuses with which the edge refuses what it can't read. */
const REFUSALS = new Set([400, 405, 408, 413, 414, 417, 431, 501, 505]);
/** What a sound request for a sound resource may get; 503 and 504 on a machine that has no time, or with only-if-cached. */
const SOUND = new Set([200, 206, 304, 412, 416, 503, 504]);

/** `pristine[k]`: request `k` was not mutated, nor anything before it. */
export function judge(sent: string, read: ReadStream, received: string, pristine: readonly boolean[]): Verdict {
  const { requests, stop, begun } = read;
  const read_ = readAnswers(received, (k) => (requests[k] ?? begun)?.method ?? 'GET');
  const { answers } = read_;
  const verdict = (complaint: string | undefined): Verdict => ({ complaint, answers });
  if (read_.kind === 'complaint')
    return verdict(
      `answer ${answers.length}: ${read_.what}: ${JSON.stringify(received.slice(read_.at, read_.at + 200))}`,
    );
  for (const [k, answer] of answers.entries()) {
    const request = requests[k];
    if (request !== undefined) {
      const wrong = wrongAnswer(request, answer, pristine[k] === true);
      if (wrong !== undefined)
        return verdict(`answer ${k} (${answer.status}) to ${request.method} ${request.target}: ${wrong}`);
    } else if (k > requests.length || stop === 'end') return verdict(`answer ${k} (${answer.status}) to nothing`);
    else if (begun === undefined && !(REFUSALS.has(answer.status) && answer.close && !answer.fields.has('x-tag')))
      return verdict(
        `executed what is ${stop}: ${answer.status} to ${JSON.stringify(sent.slice(read.stoppedAt, read.stoppedAt + 300))}`,
      );
  }
  const last = answers.at(-1);
  const next = requests[answers.length];
  if (next === undefined || last?.close === true || last?.whole === false || next.target.startsWith('/h/'))
    return verdict(undefined);
  return verdict(`${next.method} ${next.target} got no answer (${answers.length} of ${requests.length})`);
}

function wrongAnswer(request: ReadRequest, answer: ReadAnswer, pristine: boolean): string | undefined {
  const { method, target, version } = request;
  const { status, fields, body } = answer;
  if (!answer.whole && !target.startsWith('/h/')) return 'cut short';
  if (answer.chunked && version === '1.0') return 'chunked to HTTP/1.0';
  const tag = tagOf(target);
  if (tag === undefined) return undefined;
  const named = fields.get('x-tag');
  if (named !== undefined && named !== tag) return `is that of ${named}`;
  if (method !== 'GET' && method !== 'HEAD') {
    const received = fields.get('x-received');
    if (received !== undefined && Number(received) !== request.bodyLength)
      return `the origin got ${received} bytes of ${request.bodyLength}`;
    return undefined;
  }
  if (pristine && !SOUND.has(status)) return 'is refused';
  if (method === 'HEAD' || named === undefined) return undefined;
  const whole = bodyOf(tag);
  if (status === 200 && body !== whole) return `body of ${body.length} bytes differs`;
  const range = /^bytes ([0-9]+)-([0-9]+)\/([0-9]+)$/.exec(fields.get('content-range') ?? '');
  if (status === 206 && range !== null && body !== whole.slice(Number(range[1]), Number(range[2]) + 1))
    return 'the part differs';
  if (status === 206 && range === null && !(fields.get('content-type') ?? '').startsWith('multipart/byteranges'))
    return '206 without a range';
  return undefined;
}
