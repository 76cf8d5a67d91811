/**
 * A storable response on its way into the store and to everybody who asked for it. One that is short and here at once
 * is stored and answered in one piece; every other is shared while it arrives, through a live body and a run.
 */
import type { Flight } from '../cache/collapse.ts';
import type { Coding } from '../cache/compression.ts';
import { clientFields, mayHoldOwnFields } from '../cache/response-fields.ts';
import type { StoredResponse } from '../cache/stored-response.ts';
import { formatHttpDate } from '../http/dates.ts';
import type { UpstreamCall, UpstreamHead } from '../upstream/upstreams.ts';
import { BodyRun, type RunEnding } from './body-run.ts';
import { BodySource } from './body-source.ts';
import type { Ask, Fetched, ServeContext } from './context.ts';
import { LiveBody } from './live-body.ts';
import type { Taker } from './taker.ts';

/** Bodies up to this length may be gathered: what one read of an upstream connection brings, and a bit. */
const BRIEF_BYTES = 256 << 10;
/** Longer bodies become readable from the store slice by slice while they arrive. */
const VISIBLE_FROM_BYTES = 4 << 20;

export interface Sharing {
  readonly ask: Ask;
  readonly head: UpstreamHead;
  readonly response: StoredResponse;
  readonly firstByte: number;
  readonly endByte: number | undefined;
  /** The body is stored in this coding. */
  readonly coding: Coding | undefined;
  readonly call: UpstreamCall;
  readonly flight: Flight<Fetched> | undefined;
  /** Called once, as soon as the response can be sent: at the latest in the turn after its head came. */
  readonly fetched: (fetched: Fetched) => void;
}

/** Begins it; what it gives back takes the body. */
export function share(context: ServeContext, sharing: Sharing): Taker {
  const { response, firstByte, endByte, coding } = sharing;
  const { bodyLength } = response;
  const whole = firstByte === 0 && endByte === bodyLength;
  if (coding === undefined && whole && bodyLength >= 0 && bodyLength <= BRIEF_BYTES) return new Brief(context, sharing);
  return shareArriving(context, sharing);
}

/** Gathers a short body. What is not here when this turn of the event loop ends is shared as it arrives. */
class Brief implements Taker {
  readonly #context: ServeContext;
  readonly #sharing: Sharing;
  readonly #bytes: Buffer;
  #filled = 0;
  #ended = false;
  #arriving: Taker | undefined;

  constructor(context: ServeContext, sharing: Sharing) {
    this.#context = context;
    this.#sharing = sharing;
    this.#bytes = Buffer.allocUnsafeSlow(sharing.response.bodyLength);
    lookAfterThisTurn(this);
  }

  piece(chunk: Buffer): void {
    if (this.#arriving !== undefined) return this.#arriving.piece(chunk);
    // A part without a Content-Length that brings more than its Content-Range said.
    if (this.#filled + chunk.length > this.#bytes.length) {
      this.fail('http_protocol_error');
      return this.#sharing.call.abort();
    }
    chunk.copy(this.#bytes, this.#filled);
    this.#filled += chunk.length;
  }

  end(): void {
    if (this.#arriving !== undefined) return this.#arriving.end();
    // Never what was in the buffer before: who says less than it promised has not sent it whole.
    if (this.#filled !== this.#bytes.length) return this.fail('http_response_incomplete');
    this.#ended = true;
    const { ask, head, response, flight, fetched } = this.#sharing;
    const { store, slices, counts } = this.#context;
    const { entry, outcome } = store.put(response, this.#bytes);
    if (outcome instanceof Promise) void outcome.then((one) => counts.refused(one));
    else counts.refused(outcome);
    const shared = (response: StoredResponse): Fetched => ({
      response,
      entry,
      length: response.bodyLength,
      upstreamStatus: head.fields.get('cache-status') ?? '',
      forwardStatus: head.status,
      joinable: () => true,
      open: (from) => new BodySource({ ask, response, store, fetcher: slices, entry, from }),
    });
    fetched(shared(askers(this.#context, response, head)));
    if (flight === undefined) return;
    flight.join(shared(response));
    flight.over();
  }

  fail(why: string): void {
    this.#spill();
    this.#arriving?.fail(why);
  }

  /** The turn is over. */
  late(): void {
    if (!this.#ended) this.#spill();
  }

  #spill(): void {
    if (this.#arriving !== undefined) return;
    this.#ended = true;
    this.#arriving = shareArriving(this.#context, this.#sharing);
    if (this.#filled > 0) this.#arriving.piece(this.#bytes.subarray(0, this.#filled));
  }
}

let pending: Brief[] = [];

function lookAfterThisTurn(brief: Brief): void {
  if (pending.push(brief) > 1) return;
  setImmediate(() => {
    const late = pending;
    pending = [];
    for (const one of late) one.late();
  });
}

function shareArriving(context: ServeContext, sharing: Sharing): Taker {
  const { ask, head, response, firstByte, endByte, coding, call, flight } = sharing;
  const whole = firstByte === 0 && (endByte === undefined || endByte === response.bodyLength);
  const length = response.bodyLength < 0 ? undefined : response.bodyLength;
  const strong = response.etag?.startsWith('"') === true;
  const visible = length !== undefined && strong && (!whole || length > VISIBLE_FROM_BYTES);
  const live = new LiveBody(length);
  const writer = context.store.begin(response, { partial: visible });
  const encoder = coding === undefined ? undefined : context.compression?.encoder(coding, call);
  const run = new BodyRun({
    live,
    writer,
    visible,
    whole,
    firstByte,
    endByte,
    call: encoder ?? call,
    finish: (total) => writer.finish(length === undefined ? { ...response, bodyLength: total } : response),
    onEnd: (ending: RunEnding) => {
      flight?.over();
      unlist();
      if (ending.kind === 'whole') context.counts.refused(ending.stored);
    },
  });
  const arriving = { live, pace: () => run.pace() };
  const unlist = context.slices.list(response, arriving);
  encoder?.feed(run);
  const shared = (response: StoredResponse): Fetched => ({
    response,
    entry: undefined,
    upstreamStatus: head.fields.get('cache-status') ?? '',
    forwardStatus: head.status,
    get length() {
      return live.length;
    },
    joinable: () => run.joinable && !context.slices.superseded(response),
    open: (from) => new BodySource({ ask, response, store: context.store, fetcher: context.slices, arriving, from }),
  });
  sharing.fetched(shared(askers(context, response, head)));
  flight?.join(shared(response));
  run.pace();
  return encoder ?? run;
}

/** The response for whom it was made: with the fields that are not for others (private="…", no-cache="…"). */
export function askers(context: ServeContext, response: StoredResponse, head: UpstreamHead): StoredResponse {
  if (!mayHoldOwnFields(head.fields)) return response;
  const fields = clientFields(head.fields, context.policy.forwardSurrogateFields);
  fields.delete('age');
  if (head.status === 206) fields.delete('content-range');
  if (!fields.has('date')) fields.append('date', formatHttpDate(response.responseMillis));
  return fields.flat.length > response.fields.length ? { ...response, fields: fields.flat } : response;
}
