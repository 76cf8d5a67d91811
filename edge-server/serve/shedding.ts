/**
 * Requests that this edge does not serve now: overloaded, draining, or without its disks. Each is answered in one write:
 * 307 to the next target where one is known and nobody has sent the client on before, else 503 with Retry-After. Hits
 * never come here below the highest level. When that is, `overload.ts` decides; where to, the worker.
 */
import { cacheStatus, type ForwardedWhy } from '../cache/cache-status.ts';
import { unsafeMethod } from '../cache/invalidation.ts';
import { forwardingForbidden, staleOnError } from '../cache/reuse.ts';
import type { ResponseSink } from '../http/exchange.ts';
import type { StoredEntry } from '../store/contract.ts';
import { type Ask, nameOf, type ServeContext } from './context.ts';
import { sendOwn } from './errors.ts';
import type { Hits } from './hits.ts';
import { withMark } from './redirect-mark.ts';

/** As long as a level lasts at least. */
const RETRY_AFTER_SECONDS = '5';

/** Whether everything but health and purges is shed. One look a request. */
export function shedsAll(context: ServeContext): boolean {
  return context.overload.sheds === 'all';
}

/** Whether nothing is forwarded for now, also not behind a stale answer. */
export function shedsMisses(context: ServeContext): boolean {
  return context.overload.sheds !== 'none';
}

/** Answers a request that would be forwarded, if it is shed. False: it goes on as ever. */
export function shedMiss(
  context: ServeContext,
  hits: Hits,
  request: { ask: Ask; sink: ResponseSink; why: ForwardedWhy; stale: StoredEntry | undefined },
): boolean {
  const { overload, policy, clock, counts } = context;
  const { ask, sink, why, stale } = request;
  if (overload.sheds === 'none') {
    if (overload.unable === undefined || !redirectable(context, ask)) return false;
    redirect(context, ask, sink, { why, detail: overload.unable });
    return true;
  }
  // Costs the origin nothing, and its answer is another one.
  if (forwardingForbidden(ask.directives)) return false;
  const now = clock.now();
  if (stale !== undefined && staleOnError(stale.response, ask.directives, now, policy).use === 'stale-if-error') {
    counts.shed.stale += 1;
    hits.stale(ask, sink, stale, now, 'overload');
    return true;
  }
  shed(context, ask, sink, why);
  return true;
}

/** 307 where that is possible, else 503. */
export function shed(context: ServeContext, ask: Ask, sink: ResponseSink, why: ForwardedWhy): void {
  if (redirectable(context, ask)) return redirect(context, ask, sink, { why, detail: 'overload' });
  context.counts.shed.unavailable += 1;
  const text = 'overloaded; try again soon';
  own(context, ask, sink, { status: 503, text, why, detail: 'overload', fields: ['retry-after', RETRY_AFTER_SECONDS] });
}

/** An unsafe request must pass here, or what it makes invalid stays: it is never sent elsewhere. */
function redirectable(context: ServeContext, ask: Ask): boolean {
  return !ask.redirected && context.nextTarget() !== undefined && !unsafeMethod(ask.request.method);
}

function redirect(
  context: ServeContext,
  ask: Ask,
  sink: ResponseSink,
  reason: { why: ForwardedWhy; detail: string },
): void {
  context.counts.shed.redirected += 1;
  const location = `${context.nextTarget()}${withMark(ask.request.target)}`;
  own(context, ask, sink, { status: 307, text: `go to ${location}`, ...reason, fields: ['location', location] });
}

function own(
  context: ServeContext,
  ask: Ask,
  sink: ResponseSink,
  answer: { status: number; text: string; why: ForwardedWhy; detail: string; fields: string[] },
): void {
  const { status, text, why, detail, fields } = answer;
  const { counts, accessLog, clock } = context;
  const now = clock.now();
  sink.onClose(() => {
    counts.answer('shed', status, sink.bytesWritten);
    accessLog?.write(ask.request, sink, {
      status,
      outcome: 'shed',
      detail,
      tier: undefined,
      startedMillis: now,
      firstByteMillis: now,
    });
  });
  const member = cacheStatus(nameOf(context), { kind: 'forwarded', why, detail });
  sendOwn(sink, ask.request.method, status, text, [...fields, 'cache-status', member]);
}
