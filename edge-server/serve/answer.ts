/**
 * Answers a request from one representation, stored or arriving: preconditions, then range, then the body
 * (RFC 9110 §13.2.2, §14.2). Owns what the client gets; where the bytes come from is the body source's business,
 * whether they may be used was decided before.
 */
import { randomBytes } from 'node:crypto';
import { encodedLoosely } from '../cache/parts.ts';
import { notModifiedFields, partialFields } from '../cache/response-fields.ts';
import type { StoredResponse } from '../cache/stored-response.ts';
import { type EdgeRequest, ResponseHead, type ResponseSink } from '../http/exchange.ts';
import { Fields } from '../http/fields.ts';
import { preconditions, type Representation, rangeApplies } from '../http/preconditions.ts';
import { type ByteRange, contentRange, contentRangeUnsatisfied, multipartFrame, parseRange } from '../http/ranges.ts';
import type { StoredEntry } from '../store/contract.ts';
import type { BodySource, Piece } from './body-source.ts';
import { firstPiece, pump } from './pump.ts';

/** A representation that may be sent. */
export interface Answerable {
  readonly response: StoredResponse;
  /** Bytes of the whole body; `undefined` while a body of unknown length is arriving. */
  readonly length: number | undefined;
  readonly entry: StoredEntry | undefined;
  /** Opens its bytes for one walk. */
  open(from: number): BodySource;
}

/** What becomes of an answer whose body can't be completed. */
export interface Ends {
  /** It has begun, and is cut. */
  lost(why: string): void;
  /**
   * Nothing of it has been sent: another answer is given. Without it the head goes out before the first byte of the
   * body is at hand.
   */
  again?(): void;
}

/** What a request gets of a representation. Pure. */
export type AnswerPlan =
  | { readonly kind: 'whole' }
  | { readonly kind: 'not-modified' }
  | { readonly kind: 'precondition-failed' }
  | { readonly kind: 'range'; readonly start: number; readonly end: number }
  | { readonly kind: 'ranges'; readonly ranges: readonly ByteRange[] }
  | { readonly kind: 'unsatisfiable' };

const WHOLE: AnswerPlan = { kind: 'whole' };

export function answerPlan(request: EdgeRequest, response: StoredResponse, length: number | undefined): AnswerPlan {
  const representation: Representation = {
    status: response.status,
    etag: response.etag,
    lastModifiedMillis: response.lastModifiedMillis,
    dateMillis: response.responseMillis - response.initialAgeMillis,
  };
  switch (preconditions(request.fields, representation).kind) {
    case 'not-modified':
      return { kind: 'not-modified' };
    case 'failed':
      return { kind: 'precondition-failed' };
    case 'proceed':
      break;
  }
  if (response.status !== 200 || request.method !== 'GET' || length === undefined) return WHOLE;
  const field = request.fields.get('range');
  if (field === undefined || !rangeApplies(request.fields.get('if-range'), representation)) return WHOLE;
  if (encodedLoosely(response)) return WHOLE;
  const range = parseRange(field, length);
  switch (range.kind) {
    case 'full':
      return WHOLE;
    case 'single':
      return { kind: 'range', start: range.start, end: range.end };
    case 'multiple':
      return { kind: 'ranges', ranges: range.ranges };
    case 'unsatisfiable':
      return range;
  }
}

/** Sends what the plan says. `extra` are the edge's own fields (age, cache-status, via), flat. */
export function answer(
  request: EdgeRequest,
  sink: ResponseSink,
  from: Answerable,
  extra: readonly string[],
  ends: Ends,
): number {
  const plan = answerPlan(request, from.response, from.length);
  const { response } = from;
  switch (plan.kind) {
    case 'not-modified':
      sink.sendWhole(
        new ResponseHead(304, new Fields([...notModifiedFields(response.fields), ...extra]), undefined),
        undefined,
      );
      return 304;
    case 'precondition-failed':
      sink.sendWhole(new ResponseHead(412, new Fields(['date', new Date().toUTCString(), ...extra]), 0), undefined);
      return 412;
    case 'unsatisfiable':
      sink.sendWhole(
        new ResponseHead(
          416,
          new Fields([
            'date',
            new Date().toUTCString(),
            'content-range',
            contentRangeUnsatisfied(from.length!),
            ...extra,
          ]),
          0,
        ),
        undefined,
      );
      return 416;
    case 'whole': {
      const head = new ResponseHead(response.status, new Fields(response.fields.concat(extra)), from.length);
      sendStretch(request, sink, from, head, { start: 0, end: (from.length ?? Number.POSITIVE_INFINITY) - 1 }, ends);
      return response.status;
    }
    case 'range': {
      const range = contentRange(plan.start, plan.end, from.length);
      const fields = new Fields([...partialFields(response.fields, range), ...extra]);
      sendStretch(request, sink, from, new ResponseHead(206, fields, plan.end - plan.start + 1), plan, ends);
      return 206;
    }
    case 'ranges':
      void sendParts(sink, from, plan.ranges, extra, ends);
      return 206;
  }
}

/** One stretch of the body: nothing but the head, one write from memory, or streamed. */
function sendStretch(
  request: EdgeRequest,
  sink: ResponseSink,
  from: Answerable,
  head: ResponseHead,
  range: ByteRange,
  ends: Ends,
): void {
  const bodiless = request.method === 'HEAD' || head.status === 204 || head.status === 304 || head.contentLength === 0;
  if (bodiless) return sink.sendWhole(head, undefined);
  const body = from.entry?.body;
  if (body !== undefined && range.end < body.length) {
    const part = range.start === 0 && range.end === body.length - 1 ? body : body.subarray(range.start, range.end + 1);
    return sink.sendWhole(head, part);
  }
  void sendStreamed(sink, from, head, range, ends);
}

async function sendStreamed(
  sink: ResponseSink,
  from: Answerable,
  head: ResponseHead,
  range: ByteRange,
  ends: Ends,
): Promise<void> {
  const source = from.open(range.start);
  try {
    let first: Piece | undefined;
    if (ends.again !== undefined) {
      first = await firstPiece(source, sink, range.start, range.end + 1);
      if (first.kind === 'lost' && !sink.closed) return ends.again();
    }
    sink.start(head);
    const stopped = await pump(source, sink, range.start, range.end + 1, first);
    if (stopped === undefined) sink.end();
    else giveUp(sink, stopped, ends);
  } catch (error) {
    giveUp(sink, error instanceof Error ? error.message : String(error), ends);
  } finally {
    source.close();
  }
}

async function sendParts(
  sink: ResponseSink,
  from: Answerable,
  ranges: readonly ByteRange[],
  extra: readonly string[],
  ends: Ends,
): Promise<void> {
  const type = new Fields([...from.response.fields]).get('content-type');
  const frame = multipartFrame(ranges, from.length!, type, randomBytes(10).toString('hex'));
  const fields = new Fields([...partialFields(from.response.fields, undefined, frame.contentType), ...extra]);
  sink.start(new ResponseHead(206, fields, frame.contentLength));
  try {
    for (const [i, range] of ranges.entries()) {
      if (!sink.write(frame.heads[i]!)) await sink.drained();
      const source = from.open(range.start);
      try {
        const stopped = await pump(source, sink, range.start, range.end + 1);
        if (stopped !== undefined) return giveUp(sink, stopped, ends);
      } finally {
        source.close();
      }
    }
    sink.write(frame.tail);
    sink.end();
  } catch (error) {
    giveUp(sink, error instanceof Error ? error.message : String(error), ends);
  }
}

function giveUp(sink: ResponseSink, why: string, ends: Ends): void {
  if (why !== 'client-gone') ends.lost(why);
  sink.abort(why);
}
