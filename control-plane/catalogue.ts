/**
 * What exists at the origin, as last read from the gateway: for planning fills, sizing popularity, picking the object
 * that deep probes fetch, and finding films for the page. An origin that is away leaves the last list standing.
 */
import { request } from 'undici';
import type { Clock, Timer } from '../runtime/clock.ts';
import type { Logger } from '../runtime/log.ts';
import type { Tally } from '../runtime/metrics.ts';
import type { CatalogueAsset, Catalogue as CatalogueBody } from './api.ts';
import type { CONTROL_COUNTERS } from './counters.ts';
import type { ProbeSample } from './probes.ts';

const REFRESH_MILLIS = 30_000;
const RETRY_MILLIS = 2000;
const DEADLINE_MILLIS = 10_000;
const CATALOGUE_BYTES = 512 << 20;
/** A deep probe moves some kilobytes: enough to be a real object, too little to be load. */
const SAMPLE_LEAST_BYTES = 512;
const SAMPLE_MOST_BYTES = 256 * 1024;

export interface CatalogueParts {
  /** Admin URL of the gateway; `undefined`: there is no catalogue. */
  readonly url: string | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  readonly tally: Tally<typeof CONTROL_COUNTERS>;
}

export class CatalogueReader {
  readonly #parts: CatalogueParts;
  readonly #abort = new AbortController();
  #current: CatalogueBody = { version: 0, assets: [] };
  #bytes = new Map<string, number>();
  #sample: ProbeSample | undefined;
  #timer: Timer | undefined;
  #reading: Promise<boolean> | undefined;
  #wasGood = true;

  constructor(parts: CatalogueParts) {
    this.#parts = parts;
  }

  start(): void {
    if (this.#parts.url !== undefined) void this.refresh();
  }

  close(): void {
    this.#timer?.cancel();
    this.#abort.abort();
  }

  get current(): CatalogueBody {
    return this.#current;
  }

  bytesOf(path: string): number | undefined {
    return this.#bytes.get(path);
  }

  /** What a deep probe fetches. */
  sample(): ProbeSample | undefined {
    return this.#sample;
  }

  /** What the page offers: of each title its multivariant playlist (the shallowest one), else its plain film. */
  films(): string[] {
    const best = new Map<string, string>();
    for (const { path, title } of this.#current.assets) {
      const known = best.get(title);
      if (filmRank(path) < (known === undefined ? NO_FILM : filmRank(known))) best.set(title, path);
    }
    return [...best.values()].sort();
  }

  /** Reads it now; joins a reading under way. `false` when the origin did not give it. */
  refresh(): Promise<boolean> {
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #read(): Promise<boolean> {
    const { url, clock, log, tally } = this.#parts;
    if (url === undefined) return false;
    this.#timer?.cancel();
    const deadline = new AbortController();
    const timer = clock.after(DEADLINE_MILLIS, () =>
      deadline.abort(new Error(`no answer in ${DEADLINE_MILLIS / 1000} s`)),
    );
    let good = false;
    try {
      const response = await request(`${url}/v1/catalogue`, {
        signal: AbortSignal.any([deadline.signal, this.#abort.signal]),
      });
      const text = await limited(response.body as AsyncIterable<Buffer>);
      if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}`);
      this.#take(catalogueOf(JSON.parse(text)));
      good = true;
    } catch (error) {
      if (this.#abort.signal.aborted) return false;
      tally.add('catalogue_failures_total');
      if (this.#wasGood) log.warn({ url, err: error }, 'catalogue not read; the last one stands');
    } finally {
      timer.cancel();
    }
    this.#wasGood = good;
    if (!this.#abort.signal.aborted)
      this.#timer = clock.after(good ? REFRESH_MILLIS : RETRY_MILLIS, () => void this.refresh());
    return good;
  }

  #take(catalogue: CatalogueBody): void {
    this.#current = catalogue;
    this.#bytes = new Map(catalogue.assets.map(({ path, bytes }) => [path, bytes]));
    const small = catalogue.assets.filter(({ bytes }) => bytes >= SAMPLE_LEAST_BYTES && bytes <= SAMPLE_MOST_BYTES);
    const least = small.reduce<CatalogueAsset | undefined>(
      (best, asset) => (best === undefined || asset.bytes < best.bytes ? asset : best),
      undefined,
    );
    this.#sample = least ?? catalogue.assets.find(({ bytes }) => bytes > 0 && bytes <= SAMPLE_MOST_BYTES);
  }
}

const NO_FILM = 100;

function filmRank(path: string): number {
  if (/\/(?:master|main)\.m3u8$/i.test(path)) return 0;
  if (/\.m3u8$/i.test(path)) return Math.min(50, path.split('/').length);
  return /\.(?:mp4|webm)$/i.test(path) ? 60 : NO_FILM;
}

async function limited(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > CATALOGUE_BYTES) throw new Error(`longer than ${CATALOGUE_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function catalogueOf(value: unknown): CatalogueBody {
  const catalogue = value as CatalogueBody | null;
  const right =
    typeof catalogue === 'object' &&
    catalogue !== null &&
    Number.isSafeInteger(catalogue.version) &&
    Array.isArray(catalogue.assets) &&
    catalogue.assets.every(
      (asset) => typeof asset?.path === 'string' && asset.path.startsWith('/') && Number.isSafeInteger(asset.bytes),
    );
  if (!right) throw new Error('not a catalogue');
  return catalogue;
}
