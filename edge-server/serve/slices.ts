/**
 * Fetches the missing slices of stored responses, once for everybody who waits, under one validator: If-Range makes a
 * changed upstream answer 200, and then the old version is dropped and nothing of the two is mixed (RFC 9110 §14.5).
 */
import { ifRangeOf, partOf } from '../cache/parts.ts';
import type { StoredResponse } from '../cache/stored-response.ts';
import { SLICE_BYTES, type StoredEntry } from '../store/contract.ts';
import type { UpstreamCall, UpstreamFault, UpstreamHead, UpstreamListener } from '../upstream/upstreams.ts';
import { BodyRun } from './body-run.ts';
import type { Arriving, SliceFetcher } from './body-source.ts';
import type { Ask, ServeContext } from './context.ts';
import { LiveBody } from './live-body.ts';
import { upstreamFields } from './upstream-fields.ts';

/** Slices of one range request upstream; a reader asks for the next run when it gets there. */
const RUN_SLICES = 64;

export class Slices implements SliceFetcher {
  readonly #arriving = new Map<string, Arriving[]>();
  /** Ids of arriving bodies that are to leave nothing behind. */
  readonly #superseded = new Set<string>();
  /** Set once, by the worker: the context holds this and this needs the context. */
  context!: ServeContext;

  list(response: StoredResponse, arriving: Arriving): () => void {
    const { id } = response;
    const listed = this.#arriving.get(id);
    if (listed === undefined) this.#arriving.set(id, [arriving]);
    else listed.push(arriving);
    return () => {
      const left = (this.#arriving.get(id) ?? []).filter((one) => one !== arriving);
      if (left.length > 0) return void this.#arriving.set(id, left);
      this.#arriving.delete(id);
      if (this.#superseded.delete(id)) this.#remove(response);
    };
  }

  fetchSlices(ask: Ask, response: StoredResponse, n: number, end: number): Arriving | undefined {
    const listed = this.#arriving.get(response.id)?.find(({ live }) => live.expects(n));
    if (listed !== undefined) return listed;
    const validator = ifRangeOf(response);
    if (validator === undefined || response.bodyLength < 0 || !this.context.owns(response.key)) return undefined;
    return this.#run(ask, response, validator, n, Math.min(end, response.bodyLength));
  }

  #run(ask: Ask, response: StoredResponse, validator: string, first: number, end: number): Arriving {
    const { store, upstreams, counts } = this.context;
    const entry = this.#entry(response);
    const arrivals = this.#arriving.get(response.id) ?? [];
    // Up to what is here or on its way already: no slice is asked for twice.
    const last = lastMissing(
      first,
      end,
      (n) => (entry !== undefined && store.hasSlice(entry, n)) || arrivals.some(({ live }) => live.expects(n)),
    );
    const firstByte = first * SLICE_BYTES;
    const endByte = Math.min((last + 1) * SLICE_BYTES, response.bodyLength);
    const live = new LiveBody(response.bodyLength);
    for (let n = first; n <= last; n++) live.expect(n);
    const run = new SliceRun(this.context, { response, entry, live, firstByte, endByte });
    const arriving: Arriving = { live, pace: () => run.pace() };
    run.onEnd = this.list(response, arriving);
    counts.upstreamRequests += 1;
    const fields = upstreamFields(this.context, ask);
    fields.set('range', `bytes=${firstByte}-${endByte - 1}`);
    fields.set('if-range', validator);
    run.call = upstreams.forward({ method: 'GET', target: ask.target, fields, body: undefined }, run);
    return arriving;
  }

  /**
   * The upstream has another version than `response`: what is stored of it goes, now and, where bodies of it are still
   * arriving, when they have. Their readers get the version that they began with.
   */
  supersede(response: StoredResponse): void {
    this.#remove(response);
    if (this.#arriving.has(response.id)) this.#superseded.add(response.id);
  }

  superseded(response: StoredResponse): boolean {
    return this.#superseded.has(response.id);
  }

  #remove(response: StoredResponse): void {
    const entry = this.#entry(response);
    if (entry !== undefined) this.context.store.remove(entry);
  }

  #entry(response: StoredResponse): StoredEntry | undefined {
    const entry = this.context.store.shelf(response.key)?.variant(response.variant);
    return entry?.response.id === response.id ? entry : undefined;
  }
}

interface SliceRunOptions {
  readonly response: StoredResponse;
  readonly entry: StoredEntry | undefined;
  readonly live: LiveBody;
  readonly firstByte: number;
  readonly endByte: number;
}

/** One range request for missing slices. */
class SliceRun implements UpstreamListener {
  readonly #context: ServeContext;
  readonly #options: SliceRunOptions;
  call: UpstreamCall | undefined;
  onEnd: () => void = () => {};
  #run: BodyRun | undefined;
  #ended = false;

  constructor(context: ServeContext, options: SliceRunOptions) {
    this.#context = context;
    this.#options = options;
  }

  pace(): void {
    if (this.#run !== undefined) this.#run.pace();
    else if (this.#options.live.readers.size === 0) this.call?.abort();
  }

  head(head: UpstreamHead): void {
    const { response, firstByte, endByte } = this.#options;
    const part = partOf(response, head, { start: firstByte, end: endByte - 1 });
    switch (part.kind) {
      case 'part':
        return this.#take(firstByte, endByte);
      case 'whole':
        // An upstream that knows no ranges: what is asked for comes in its turn, and the rest is of use too.
        if (part.same && (head.contentLength ?? response.bodyLength) === response.bodyLength)
          return this.#take(0, response.bodyLength);
        return this.#lost(true);
      case 'changed':
        return this.#lost(true);
      case 'unusable':
        return this.#lost(head.status === 404 || head.status === 410);
    }
  }

  /** Another version is there now, or none: what is stored belongs to nobody's answer any more. */
  #lost(changed: boolean): void {
    if (changed) this.#context.slices.supersede(this.#options.response);
    this.#giveUp();
    this.call?.abort();
  }

  #take(firstByte: number, endByte: number): void {
    const { response, entry, live } = this.#options;
    const writer = entry === undefined ? undefined : this.#context.store.resume(entry);
    this.#run = new BodyRun({
      live,
      writer,
      visible: writer !== undefined,
      whole: false,
      firstByte,
      endByte,
      call: this.call!,
      finish: async () => (writer === undefined ? { kind: 'refused', why: 'abandoned' } : writer.finish(response)),
      onEnd: () => this.#end(),
    });
  }

  piece(chunk: Buffer): void {
    this.#context.counts.upstreamBytes += chunk.length;
    this.#run?.piece(chunk);
  }

  end(): void {
    if (this.#run === undefined) this.#giveUp();
    else this.#run.end();
  }

  fail(fault: UpstreamFault, detail: string): void {
    this.#context.counts.faults[fault] += 1;
    if (fault !== 'aborted') this.#context.log.warn({ fault, detail }, 'slice fetch failed');
    if (this.#run === undefined) this.#giveUp();
    else this.#run.fail(fault);
  }

  #giveUp(): void {
    const { live, firstByte, endByte } = this.#options;
    live.dropUnfinished(firstByte / SLICE_BYTES, Math.ceil(endByte / SLICE_BYTES));
    this.#end();
    live.flush();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.onEnd();
  }
}

function lastMissing(first: number, end: number, known: (n: number) => boolean): number {
  let last = first;
  while (last - first + 1 < RUN_SLICES && (last + 1) * SLICE_BYTES < end && !known(last + 1)) last += 1;
  return last;
}
