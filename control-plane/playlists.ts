/**
 * Multivariant playlists as steering needs them: small, read from the origin or whoever else has them, kept briefly,
 * and kept on when everybody is away. What is done with one is `content-steering.ts`.
 */
import { LRUCache } from 'lru-cache';
import { request } from 'undici';
import type { Clock } from '../runtime/clock.ts';

const FRESH_MILLIS = 10_000;
const DEADLINE_MILLIS = 2000;
const PLAYLIST_BYTES = 1 << 20;
const KEPT_BYTES = 32 << 20;
const SOURCES_MOST = 4;

interface Kept {
  readonly text: string;
  readonly atMillis: number;
}

export class Playlists {
  readonly #clock: Clock;
  readonly #kept = new LRUCache<string, Kept>({
    maxSize: KEPT_BYTES,
    sizeCalculation: ({ text }) => text.length * 2 + 64,
  });
  readonly #reading = new Map<string, Promise<string | undefined>>();
  readonly #abort = new AbortController();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  close(): void {
    this.#abort.abort();
  }

  /** The playlist at `target` (path and query) from the first of `sources` that gives it; `undefined` when none does. */
  read(target: string, sources: readonly string[]): Promise<string | undefined> {
    const kept = this.#kept.get(target);
    if (kept !== undefined && this.#clock.monotonic() - kept.atMillis < FRESH_MILLIS) return Promise.resolve(kept.text);
    const reading = this.#reading.get(target);
    if (reading !== undefined) return reading;
    const fresh = this.#read(target, sources).finally(() => this.#reading.delete(target));
    this.#reading.set(target, fresh);
    return fresh;
  }

  async #read(target: string, sources: readonly string[]): Promise<string | undefined> {
    for (const source of [...new Set(sources)].slice(0, SOURCES_MOST)) {
      const text = await this.#fetch(source + target);
      if (text === 'gone') {
        this.#kept.delete(target);
        return undefined;
      }
      if (text === undefined) continue;
      this.#kept.set(target, { text: text.body, atMillis: this.#clock.monotonic() });
      return text.body;
    }
    return this.#kept.get(target)?.text;
  }

  /** `gone`: the source knows that there is none. `undefined`: it did not say. */
  async #fetch(url: string): Promise<{ readonly body: string } | 'gone' | undefined> {
    const deadline = new AbortController();
    const timer = this.#clock.after(DEADLINE_MILLIS, () => deadline.abort());
    try {
      const signal = AbortSignal.any([deadline.signal, this.#abort.signal]);
      const response = await request(url, { signal, headers: { 'accept-encoding': 'identity' } });
      if (response.statusCode !== 200) {
        await response.body.dump();
        return response.statusCode === 404 || response.statusCode === 410 ? 'gone' : undefined;
      }
      const chunks: Buffer[] = [];
      let bytes = 0;
      for await (const chunk of response.body as AsyncIterable<Buffer>) {
        bytes += chunk.length;
        if (bytes > PLAYLIST_BYTES) return undefined;
        chunks.push(chunk);
      }
      return { body: Buffer.concat(chunks).toString('utf8') };
    } catch {
      return undefined; // this source is away; the next one is asked, and the caller redirects when none has it
    } finally {
      timer.cancel();
    }
  }
}
