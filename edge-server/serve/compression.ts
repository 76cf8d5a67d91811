/**
 * Compresses a response once, while it is stored: between the upstream's bytes and the body that grows. zlib works in
 * Node's thread pool, so that the event loop only moves buffers; what it can't take yet holds the upstream back.
 * What is compressed, and what the response then says, is `cache/compression.ts`.
 */
import {
  type BrotliOptions,
  constants,
  createBrotliCompress,
  createGzip,
  createZstdCompress,
  type ZlibOptions,
  type ZstdOptions,
} from 'node:zlib';
import {
  type Coding,
  type CompressionRule,
  compressionPlan,
  plannedFields,
  plannedNotModified,
} from '../cache/compression.ts';
import type { Fields } from '../http/fields.ts';
import type { UpstreamCall, UpstreamHead } from '../upstream/upstreams.ts';
import type { Taker } from './taker.ts';

/** At a time; each takes one to four megabytes. What comes beyond is stored as it is. */
const MOST_ENCODERS = 64;
const CHUNK_BYTES = 64 * 1024;
/** Once for each stored response, so a little more than a server that compresses at every request would spend. */
const GZIP: ZlibOptions = { level: 6, chunkSize: CHUNK_BYTES };
const BROTLI: BrotliOptions = {
  chunkSize: CHUNK_BYTES,
  params: { [constants.BROTLI_PARAM_QUALITY]: 5, [constants.BROTLI_PARAM_LGWIN]: 19 },
};
const ZSTD: ZstdOptions = { chunkSize: CHUNK_BYTES, params: { [constants.ZSTD_c_compressionLevel]: 6 } };

type Stream =
  | ReturnType<typeof createGzip>
  | ReturnType<typeof createBrotliCompress>
  | ReturnType<typeof createZstdCompress>;

/** A service's compression; told of each one that ends whole, with the bytes that it has saved. */
export class Compression {
  readonly rule: CompressionRule;
  readonly #ended: (coding: Coding, savedBytes: number) => void;
  #active = 0;

  constructor(rule: CompressionRule, ended: (coding: Coding, savedBytes: number) => void) {
    this.rule = rule;
    this.#ended = ended;
  }

  /** The response as it will be stored, and the coding that it is to be brought into, if any. */
  planned(request: Fields, head: UpstreamHead): { readonly head: UpstreamHead; readonly coding: Coding | undefined } {
    let plan = compressionPlan(this.rule, request.get('accept-encoding'), head);
    if (plan.kind === 'none') return { head, coding: undefined };
    if (plan.kind === 'compress' && this.#active >= MOST_ENCODERS) plan = { kind: 'varies' };
    const fields = plannedFields(head.fields, plan);
    if (plan.kind === 'varies') return { head: { ...head, fields }, coding: undefined };
    return { head: { ...head, fields, contentLength: undefined }, coding: plan.coding };
  }

  notModified(fields: Fields, storedVary: readonly string[]): Fields {
    return plannedNotModified(fields, storedVary);
  }

  /** Begins; give it its `taker` before the first piece. */
  encoder(coding: Coding, upstream: UpstreamCall): Encoder {
    this.#active += 1;
    return new Encoder(streamOf(coding), upstream, (savedBytes) => {
      this.#active -= 1;
      if (savedBytes !== undefined) this.#ended(coding, savedBytes);
    });
  }
}

/** Takes the upstream's bytes and gives the compressed ones to its taker, for whom it is the upstream's call too. */
export class Encoder implements Taker, UpstreamCall {
  readonly #stream: Stream;
  readonly #upstream: UpstreamCall;
  readonly #onEnd: (savedBytes: number | undefined) => void;
  #taker: Taker | undefined;
  #holding = false;
  #over = false;
  #savedBytes = 0;

  constructor(stream: Stream, upstream: UpstreamCall, onEnd: (savedBytes: number | undefined) => void) {
    this.#stream = stream;
    this.#upstream = upstream;
    this.#onEnd = onEnd;
    stream.on('data', (chunk: Buffer) => {
      this.#savedBytes -= chunk.length;
      this.#taker?.piece(chunk);
    });
    stream.on('end', () => {
      if (this.#finish(this.#savedBytes)) this.#taker?.end();
    });
    stream.on('error', (error) => {
      if (!this.#finish(undefined)) return;
      this.#upstream.abort();
      this.#taker?.fail(`compression: ${error.message}`);
    });
    stream.on('drain', () => {
      this.#holding = false;
      this.#upstream.resume();
    });
  }

  feed(taker: Taker): void {
    this.#taker = taker;
  }

  piece(chunk: Buffer): void {
    if (this.#over) return;
    this.#savedBytes += chunk.length;
    // zlib reads it in a thread; the chunk is the upstream connection's.
    if (this.#stream.write(Buffer.from(chunk)) || this.#holding) return;
    this.#holding = true;
    this.#upstream.pause();
  }

  end(): void {
    if (!this.#over) this.#stream.end();
  }

  fail(why: string): void {
    if (!this.#finish(undefined)) return;
    this.#stream.destroy();
    this.#taker?.fail(why);
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  abort(): void {
    if (this.#finish(undefined)) this.#stream.destroy();
    this.#upstream.abort();
  }

  /** False when it is over already. */
  #finish(savedBytes: number | undefined): boolean {
    if (this.#over) return false;
    this.#over = true;
    this.#onEnd(savedBytes);
    return true;
  }
}

function streamOf(coding: Coding): Stream {
  switch (coding) {
    case 'gzip':
      return createGzip(GZIP);
    case 'br':
      return createBrotliCompress(BROTLI);
    case 'zstd':
      return createZstdCompress(ZSTD);
  }
}
