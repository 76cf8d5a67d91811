/**
 * One body on its way into the store. A body of one slice is held until it is whole and then written in one piece;
 * a larger or partial one goes slice by slice into extents of its own. What was not finished leaves nothing.
 */
import type { StoredResponse } from '../cache/stored-response.ts';
import { SLICE_BYTES, type StoreWriter, type WriteOutcome } from './contract.ts';
import type { DiskSlices } from './disk-slices.ts';
import { Entry } from './entry.ts';
import type { MemorySlices } from './memory-slices.ts';

/** What a writer needs of its store. */
export interface WriterStore {
  /** Extents, or memory, for a new large body. */
  newSlices(response: StoredResponse): DiskSlices | MemorySlices;
  writeSlice(slices: DiskSlices | MemorySlices, n: number, bytes: Buffer): Promise<WriteOutcome>;
  publish(entry: Entry): WriteOutcome | Promise<WriteOutcome>;
  /** What is stored under the response's key and variant now. */
  current(response: StoredResponse): Entry | undefined;
  /** Larger than the store will ever hold. */
  tooLarge(bodyLength: number): boolean;
  closed(): boolean;
  ended(writer: Writer): void;
}

const STORED: WriteOutcome = { kind: 'stored' };

export class Writer implements StoreWriter {
  readonly #store: WriterStore;
  readonly #partial: boolean;
  #response: StoredResponse;
  /** The entry that readers see; slices that come from here on are visible at once. */
  #visible: Entry | undefined;
  /** The first slice, until it is known whether another follows. */
  #held: Buffer | undefined;
  #slices: DiskSlices | MemorySlices | undefined;
  #publishing: Promise<WriteOutcome> | undefined;
  readonly #writing = new Set<Promise<WriteOutcome>>();
  #refused: WriteOutcome | undefined;
  #bytes = 0;
  #ended = false;

  constructor(store: WriterStore, begun: { response: StoredResponse; partial: boolean; resumes?: Entry | undefined }) {
    this.#store = store;
    this.#response = begun.response;
    this.#partial = begun.partial;
    this.#visible = begun.resumes;
    this.#slices = begun.resumes?.slices;
    this.#slices?.beginWriting();
  }

  async slice(n: number, bytes: Buffer): Promise<WriteOutcome> {
    if (this.#store.closed()) return refusal('closed');
    if (this.#ended) return refusal('abandoned');
    if (this.#refused !== undefined) return this.#refused;
    this.#bytes += bytes.length;
    if (this.#store.tooLarge(this.#bytes)) return this.#fail('too-large');
    if (this.#visible !== undefined && this.#visible.slices === undefined) return refusal('superseded');
    if (this.#slices === undefined && n === 0 && this.#held === undefined && !this.#partialLarge) {
      this.#held = bytes;
      return this.#partial ? this.#publishHeld() : STORED;
    }
    return this.#tracked(this.#writeSlice(n, bytes));
  }

  async finish(response: StoredResponse): Promise<WriteOutcome> {
    if (this.#ended) return refusal('abandoned');
    this.#ended = true;
    this.#response = response;
    const outcome = this.#store.closed() ? refusal('closed') : await this.#finish();
    if (outcome.kind === 'refused' && this.#visible === undefined) void this.#slices?.drop(response.bodyLength);
    this.#end();
    return outcome;
  }

  abandon(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#held = undefined;
    if (this.#visible === undefined) void this.#slices?.drop(this.#response.bodyLength);
    this.#end();
  }

  #end(): void {
    this.#slices?.endWriting();
    this.#store.ended(this);
  }

  /** Known to be large before the first slice: the length is trusted only where the caller says that it is known. */
  get #partialLarge(): boolean {
    return this.#partial && this.#response.bodyLength > SLICE_BYTES;
  }

  async #writeSlice(n: number, bytes: Buffer): Promise<WriteOutcome> {
    if (this.#slices === undefined) {
      this.#slices = this.#store.newSlices(this.#response);
      this.#slices.beginWriting();
    }
    const held = this.#held;
    this.#held = undefined;
    const first = held === undefined ? STORED : await this.#store.writeSlice(this.#slices, 0, held);
    const outcome = first.kind === 'stored' ? await this.#store.writeSlice(this.#slices, n, bytes) : first;
    if (outcome.kind === 'refused') return this.#fail(outcome.why);
    if (!this.#partial || this.#ended) return outcome;
    this.#publishing ??= this.#show();
    return this.#publishing;
  }

  /** The first slice of a partial response makes it visible. */
  async #show(): Promise<WriteOutcome> {
    if (this.#visible !== undefined) return STORED;
    const entry = new Entry(this.#response, undefined, 'disk');
    entry.slices = this.#slices;
    const outcome = await this.#store.publish(entry);
    if (outcome.kind === 'stored') this.#visible = entry;
    else this.#refused = outcome;
    return outcome;
  }

  /** A partial response of one slice is whole with it. */
  async #publishHeld(): Promise<WriteOutcome> {
    this.#publishing ??= this.#publishWhole();
    return this.#publishing;
  }

  async #finish(): Promise<WriteOutcome> {
    await Promise.allSettled([...this.#writing]);
    if (this.#refused !== undefined) return this.#refused;
    if (this.#publishing !== undefined && this.#slices === undefined) return this.#publishing;
    if (this.#slices === undefined) return this.#publishWhole();
    const { bodyLength } = this.#response;
    const complete = this.#slices.complete(bodyLength);
    if (this.#visible === undefined) {
      if (!complete || bodyLength !== this.#bytes) return refusal('abandoned');
      const entry = new Entry(this.#response, undefined, 'disk');
      entry.slices = this.#slices;
      return this.#publishAs(entry);
    }
    const now = this.#store.current(this.#response);
    if (now?.response.id !== this.#visible.response.id) return refusal('superseded');
    if (!complete && this.#response === now.response) return STORED;
    const entry = new Entry(this.#response, undefined, 'disk');
    entry.slices = this.#slices;
    return this.#publishAs(entry);
  }

  async #publishAs(entry: Entry): Promise<WriteOutcome> {
    const outcome = await this.#store.publish(entry);
    if (outcome.kind === 'stored') this.#visible = entry;
    return outcome;
  }

  async #publishWhole(): Promise<WriteOutcome> {
    const body = this.#held ?? Buffer.alloc(0);
    if (body.length !== this.#response.bodyLength) return refusal('abandoned');
    return this.#publishAs(new Entry(this.#response, body, 'memory'));
  }

  #tracked(write: Promise<WriteOutcome>): Promise<WriteOutcome> {
    this.#writing.add(write);
    return write.finally(() => this.#writing.delete(write));
  }

  #fail(why: Extract<WriteOutcome, { kind: 'refused' }>['why']): WriteOutcome {
    this.#refused ??= refusal(why);
    return this.#refused;
  }
}

function refusal(why: Extract<WriteOutcome, { kind: 'refused' }>['why']): WriteOutcome {
  return { kind: 'refused', why };
}
