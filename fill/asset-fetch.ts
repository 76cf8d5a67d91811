/**
 * Fetches one asset from its sources in order until its bytes are whole and their SHA-256 is the catalogue's; only
 * then is it committed to the store. A cut body goes on where it stopped, by Range and If-Match (RFC 9110 §13.1.1,
 * §14), also from the next source: the validator and the digest keep two versions from mixing.
 * Which sources, in which order, and when to ask again is left to `agent.ts`.
 */
import { createHash, type Hash } from 'node:crypto';
import { type Dispatcher, request } from 'undici';
import type { FillManifest, FillSource } from '../control-plane/api.ts';
import type { Clock } from '../runtime/clock.ts';
import type { FillStore, FillWrite } from './fill-store.ts';
import { type Pace, wait } from './pace.ts';

export type FillAsset = FillManifest['assets'][number];

export interface FetchLimits {
  /** Tries of one source that bring nothing new. */
  readonly attempts: number;
  readonly headMillis: number;
  readonly betweenBytesMillis: number;
  /** A source slower than this for a whole body is given up. */
  readonly leastBytesPerSecond: number;
}

export interface FetchContext {
  readonly store: FillStore;
  readonly clock: Clock;
  readonly dispatcher: Dispatcher;
  readonly pace: Pace;
  readonly limits: FetchLimits;
  readonly signal: AbortSignal;
  /** Body bytes as they come, good or not. */
  readonly onBytes: (source: FillSource, bytes: number) => void;
  /** What had come so far is given up; the next byte is the first again. */
  readonly onRestart: () => void;
}

/** Why one source did not give the asset. */
export type SourceRefusal =
  /** It does not have it (yet): 504 to only-if-cached, 404. */
  | { readonly why: 'absent' }
  | { readonly why: 'unreachable'; readonly detail: string }
  /** 5xx, 429, or a redirect away: not now. */
  | { readonly why: 'unwilling'; readonly status: number }
  | { readonly why: 'refused'; readonly status: number }
  /** Its version is not the catalogue's. */
  | { readonly why: 'changed'; readonly detail: string }
  | { readonly why: 'corrupt' }
  | { readonly why: 'cut'; readonly detail: string };

export type FetchOutcome =
  | { readonly kind: 'stored'; readonly source: FillSource }
  /** No source gave it; one refusal each, in the order of asking. */
  | { readonly kind: 'unfetched'; readonly refusals: readonly { source: FillSource; refusal: SourceRefusal }[] }
  /** The store would not take it. */
  | { readonly kind: 'unstored'; readonly why: string }
  | { readonly kind: 'not-owner' }
  | { readonly kind: 'stopped' };

/** What has been taken in so far. */
interface Intake {
  readonly write: FillWrite;
  readonly hash: Hash;
  received: number;
  /** Of the first response; `undefined` when it had no strong one, then the digest alone tells versions apart. */
  readonly etag: string | undefined;
  readonly givers: Set<string>;
}

type Pull =
  | { readonly kind: 'whole' }
  | { readonly kind: 'not-owner' }
  | { readonly kind: 'unstored'; readonly why: string }
  | { readonly kind: 'refusal'; readonly refusal: SourceRefusal };

/** A try that brought this much is progress, and starts the count of tries again. */
const PROGRESS_BYTES = 1 << 20;
const RETRY_MILLIS = 500;
const CORRUPT = { kind: 'refusal', refusal: { why: 'corrupt' } } as const;

/** Asks each source in turn. Never rejects for what a source or the store does. */
export async function fetchAsset(
  asset: FillAsset,
  sources: readonly FillSource[],
  context: FetchContext,
): Promise<FetchOutcome> {
  const refusals: { source: FillSource; refusal: SourceRefusal }[] = [];
  const fetch = new AssetFetch(asset, context);
  try {
    for (const source of sources) {
      const outcome = await fetch.from(source);
      if (outcome.kind !== 'refusal') return outcome;
      refusals.push({ source, refusal: outcome.refusal });
    }
    return { kind: 'unfetched', refusals };
  } finally {
    fetch.abandon();
  }
}

class AssetFetch {
  readonly #asset: FillAsset;
  readonly #context: FetchContext;
  #intake: Intake | undefined;

  constructor(asset: FillAsset, context: FetchContext) {
    this.#asset = asset;
    this.#context = context;
  }

  /** Gives up what was taken in. Idempotent; nothing to do after a commit. */
  abandon(): void {
    if (this.#intake === undefined) return;
    this.#intake.write.abandon();
    this.#intake = undefined;
    this.#context.onRestart();
  }

  /** All that one source is asked for, retries included. */
  async from(source: FillSource): Promise<Exclude<FetchOutcome, { kind: 'unfetched' }> | (Pull & { kind: 'refusal' })> {
    const { limits, clock, signal } = this.#context;
    for (let attempt = 1; ; attempt++) {
      const before = this.#intake?.received ?? 0;
      const pull = await this.#pull(source);
      if (signal.aborted) return { kind: 'stopped' };
      const ended = pull.kind === 'whole' ? await this.#settle(source) : pull;
      if (ended.kind !== 'mixed' && ended.kind !== 'refusal') return ended;
      const refused = ended.kind === 'mixed' ? CORRUPT : ended;
      if ((this.#intake?.received ?? 0) - before >= PROGRESS_BYTES) attempt = 0;
      if (attempt >= limits.attempts) return refused;
      if (ended.kind === 'refusal' && !isWorthAsking(source, ended.refusal)) return ended;
      if (attempt > 0) await wait(clock, RETRY_MILLIS * 2 ** (attempt - 1), signal);
      if (signal.aborted) return { kind: 'stopped' };
    }
  }

  /** Checks the digest and commits. `mixed`: wrong, and more than one source gave bytes, so none is to blame yet. */
  async #settle(
    source: FillSource,
  ): Promise<Exclude<FetchOutcome, { kind: 'unfetched' }> | (Pull & { kind: 'refusal' }) | { kind: 'mixed' }> {
    const intake = this.#intake!;
    if (intake.hash.digest('hex') !== this.#asset.sha256.toLowerCase()) {
      const mixed = intake.givers.size > 1;
      this.abandon();
      return mixed ? { kind: 'mixed' } : CORRUPT;
    }
    const outcome = await intake.write.commit();
    this.#intake = undefined;
    return outcome.kind === 'stored' ? { kind: 'stored', source } : { kind: 'unstored', why: outcome.why };
  }

  /** One request, its body added to the intake. */
  async #pull(source: FillSource): Promise<Pull> {
    const { clock, limits, signal, dispatcher } = this.#context;
    const deadline = new AbortController();
    const millis =
      limits.headMillis + limits.betweenBytesMillis + (this.#asset.bytes / limits.leastBytesPerSecond) * 1000;
    const timer = clock.after(millis, () =>
      deadline.abort(new Error(`not whole after ${Math.round(millis / 1000)} s`)),
    );
    let body: Dispatcher.ResponseData['body'] | undefined;
    try {
      const requestMillis = clock.now();
      const response = await request(source.url + this.#asset.path, {
        dispatcher,
        headers: this.#requestFields(source),
        headersTimeout: limits.headMillis,
        bodyTimeout: limits.betweenBytesMillis,
        signal: AbortSignal.any([signal, deadline.signal]),
      });
      body = response.body;
      // An abort or a reset after this point shows in the iteration below; without a listener it would end the process.
      body.on('error', () => undefined);
      const refused = this.#accept(source, response, requestMillis);
      return refused ?? (await this.#takeIn(source, body));
    } catch (error) {
      return refusal(body === undefined ? 'unreachable' : 'cut', error);
    } finally {
      timer.cancel();
      if (body !== undefined && !body.readableEnded) body.destroy();
    }
  }

  #requestFields(source: FillSource): Record<string, string> {
    const fields: Record<string, string> = { 'accept-encoding': 'identity' };
    // RFC 9111 §5.2.1.7: a peer without it answers 504 at once and asks nobody.
    if (source.kind === 'peer') fields['cache-control'] = 'only-if-cached';
    if (this.#intake !== undefined) {
      fields.range = `bytes=${this.#intake.received}-`;
      if (this.#intake.etag !== undefined) fields['if-match'] = this.#intake.etag;
    }
    return fields;
  }

  /** Judges the head; with nothing taken in yet, begins the write. `undefined`: the body is wanted. */
  #accept(source: FillSource, response: Dispatcher.ResponseData, requestMillis: number): Pull | undefined {
    const { statusCode: status, headers } = response;
    const etag = headers.etag === undefined ? undefined : String(headers.etag);
    if (status === 412) return changed('If-Match failed');
    if (source.kind === 'peer' && (status === 504 || status === 404))
      return { kind: 'refusal', refusal: { why: 'absent' } };
    if (status >= 500 || status === 429 || (status >= 300 && status < 400))
      return { kind: 'refusal', refusal: { why: 'unwilling', status } };
    if (this.#intake !== undefined && status === 200) this.abandon(); // it will not go on in the middle: from the start
    if (status !== (this.#intake === undefined ? 200 : 206))
      return { kind: 'refusal', refusal: { why: 'refused', status } };
    if (etag !== undefined && opaque(etag) !== opaque(this.#asset.etag))
      return changed(`etag ${etag} is not the catalogue's ${this.#asset.etag}`);
    if (headers['content-encoding'] !== undefined) return changed(`content-encoding ${headers['content-encoding']}`);
    const expected = this.#asset.bytes - (this.#intake?.received ?? 0);
    if (headers['content-length'] !== undefined && Number(headers['content-length']) !== expected)
      return changed(`${headers['content-length']} bytes instead of ${expected}`);
    if (this.#intake !== undefined) {
      const range = `bytes ${this.#intake.received}-${this.#asset.bytes - 1}/${this.#asset.bytes}`;
      return headers['content-range'] === range ? undefined : changed(`content-range ${headers['content-range']}`);
    }
    return this.#begin(response, requestMillis);
  }

  #begin({ statusCode, headers }: Dispatcher.ResponseData, requestMillis: number): Pull | undefined {
    const { store, clock } = this.#context;
    const head = {
      status: statusCode,
      fields: flatFields(headers),
      length: this.#asset.bytes,
      requestMillis,
      responseMillis: clock.now(),
    };
    const write = store.begin(this.#asset.path, head, { sha256: this.#asset.sha256 });
    if (write === undefined) return { kind: 'not-owner' };
    const etag = headers.etag === undefined ? undefined : String(headers.etag);
    const strong = etag?.startsWith('"') === true ? etag : undefined;
    this.#intake = { write, hash: createHash('sha256'), received: 0, etag: strong, givers: new Set() };
    return undefined;
  }

  async #takeIn(source: FillSource, body: AsyncIterable<Buffer>): Promise<Pull> {
    const intake = this.#intake!;
    intake.givers.add(source.id);
    for await (const chunk of body) {
      this.#context.onBytes(source, chunk.length);
      if (intake.received + chunk.length > this.#asset.bytes) {
        this.abandon();
        return changed(`more than ${this.#asset.bytes} bytes`);
      }
      await this.#context.pace.take(chunk.length, this.#context.signal);
      intake.hash.update(chunk);
      intake.received += chunk.length;
      try {
        await intake.write.write(chunk);
      } catch (error) {
        return { kind: 'unstored', why: messageOf(error) };
      }
    }
    if (intake.received === this.#asset.bytes) return { kind: 'whole' };
    return refusal('cut', new Error(`after ${intake.received} of ${this.#asset.bytes} bytes`));
  }
}

/** Whether the same source may answer otherwise in a moment. A peer is asked again by the agent, which waits for it. */
function isWorthAsking(source: FillSource, { why }: SourceRefusal): boolean {
  if (why === 'cut') return true;
  return source.kind !== 'peer' && (why === 'unreachable' || why === 'unwilling');
}

/** One phrase for the list of failures: `region r1: unreachable (ECONNREFUSED)`. */
export function refusalText(source: FillSource, refused: SourceRefusal): string {
  const detail = 'detail' in refused ? ` (${refused.detail})` : 'status' in refused ? ` (${refused.status})` : '';
  return `${source.kind} ${source.id}: ${refused.why}${detail}`;
}

function refusal(why: 'unreachable' | 'cut', error: unknown): Pull {
  return { kind: 'refusal', refusal: { why, detail: messageOf(error) } };
}

function changed(detail: string): Pull {
  return { kind: 'refusal', refusal: { why: 'changed', detail } };
}

function messageOf(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string };
  return code ?? message ?? String(error);
}

/** Without the quotes and the weakness mark, which S3 clients and proxies add or drop. */
function opaque(etag: string): string {
  return etag.replace(/^W\//, '').replaceAll('"', '');
}

/**
 * Not the asset's: fields of this connection (RFC 9110 §7.6.1), and what the caches on the way did with this one
 * request (RFC 9211), which would be told again with every hit.
 */
const FIELDS_OF_THE_FETCH = new Set([
  'cache-status',
  'connection',
  'content-length',
  'keep-alive',
  'server-timing',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

function flatFields(headers: Dispatcher.ResponseData['headers']): string[] {
  const flat: string[] = [];
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || FIELDS_OF_THE_FETCH.has(name)) continue;
    for (const line of Array.isArray(value) ? value : [value]) flat.push(name.toLowerCase(), line);
  }
  return flat;
}
