/**
 * The appliance's end of the control protocol: one heartbeat a second over one kept connection, and what the answers
 * bring (purges, a new manifest, the state that the control plane sees). Run by the supervisor.
 *
 * The control plane may be away for any time: nothing here throws or ends, a change is logged once, and what the
 * appliance counted meanwhile travels with the next heartbeat that arrives. Where purges and manifests are kept is
 * left to the caller.
 */
import { Client } from 'undici';
import type { FillManifest, HealthState, Heartbeat, HeartbeatAnswer, PurgeEntry } from '../control-plane/api.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import type { Logger } from '../runtime/log.ts';

const BEAT_MILLIS = 1000;
const BEAT_DEADLINE_MILLIS = 2000;
const MANIFEST_DEADLINE_MILLIS = 15_000;
/** Wait after the n-th failure in a row; the last one stays. */
const BACKOFF_MILLIS = [1000, 1000, 2000, 3000, 5000] as const;
const POPULARITY_PATHS = 1000;
const ANSWER_BYTES = 4 << 20;
const MANIFEST_BYTES = 256 << 20;

export interface ControlLinkOptions {
  /** Base URL of the control plane. */
  readonly control: string;
  /** This appliance's id. */
  readonly appliance: string;
  readonly token?: string | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  /** Makes the next heartbeat; counts in it are since the last call. */
  collect(): Heartbeat;
  /** Applies purges, in order; resolves when they hold. A rejection is logged and they come again. */
  applyPurges(entries: readonly PurgeEntry[]): Promise<void>;
  /** A manifest that differs from the last one delivered. */
  takeManifest(manifest: FillManifest): Promise<void> | void;
  /** The standby CDN's base URL, when it becomes known or changes. */
  takeStandby?(url: string): void;
  /** Called when the control plane's opinion of this appliance, or the snapshot number, changes. */
  onNews?(news: { readonly snapshot: number; readonly state: HealthState }): void;
}

type Call = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly why: string };

export class ControlLink {
  readonly #options: ControlLinkOptions;
  readonly #client: Client;
  readonly #base: string;
  readonly #inFlight = new Set<AbortController>();
  #timer: Timer | undefined;
  #running = false;
  #beating: Promise<void> | undefined;
  #again = false;
  #failures = 0;
  #connected: boolean | undefined;
  #undelivered: Heartbeat | undefined;
  #purging = false;
  #fetching = false;
  #manifestVersion = 0;
  #snapshot = 0;
  #state: HealthState | undefined;
  #standby: string | undefined;

  constructor(options: ControlLinkOptions) {
    this.#options = options;
    const control = new URL(options.control);
    this.#base = `${control.pathname.replace(/\/+$/, '')}/v1/appliances/${encodeURIComponent(options.appliance)}`;
    this.#client = new Client(control.origin, {
      pipelining: 1,
      keepAliveTimeout: 30_000,
      connect: { timeout: BEAT_DEADLINE_MILLIS },
    });
  }

  /** `undefined` until the first answer or failure. */
  get connected(): boolean | undefined {
    return this.#connected;
  }

  /** Number of the newest snapshot that an answer named; 0 before the first. */
  get snapshot(): number {
    return this.#snapshot;
  }

  /** What the control plane thinks of this appliance; `undefined` before the first answer. */
  get state(): HealthState | undefined {
    return this.#state;
  }

  start(): void {
    if (this.#running) return;
    this.#running = true;
    this.beat();
  }

  /** Sends a heartbeat now, out of turn; joins one that is on its way and follows it with another. */
  beat(): void {
    if (!this.#running) return;
    if (this.#beating !== undefined) {
      this.#again = true;
      return;
    }
    this.#timer?.cancel();
    this.#beating = this.#beat().finally(() => {
      this.#beating = undefined;
      if (!this.#running) return;
      if (this.#again) {
        this.#again = false;
        this.beat();
      }
    });
  }

  /** Stops and closes the connection. Idempotent. */
  async close(): Promise<void> {
    this.#running = false;
    this.#timer?.cancel();
    for (const controller of this.#inFlight) controller.abort();
    await this.#beating;
    await this.#client.destroy();
  }

  async #beat(): Promise<void> {
    const { clock, collect } = this.#options;
    const began = clock.monotonic();
    const heartbeat = withUndelivered(collect(), this.#undelivered);
    const call = await this.#call('POST', '/heartbeat', JSON.stringify(heartbeat), ANSWER_BYTES, BEAT_DEADLINE_MILLIS);
    if (!this.#running) return;
    const answer = call.ok ? heartbeatAnswer(call.value) : undefined;
    if (answer === undefined) {
      this.#undelivered = heartbeat;
      this.#failed(call.ok ? 'its answer is not a heartbeat answer' : call.why);
      const wait = BACKOFF_MILLIS[Math.min(this.#failures, BACKOFF_MILLIS.length) - 1]!;
      this.#timer = clock.after(wait, () => this.beat());
      return;
    }
    this.#undelivered = undefined;
    this.#arrived(answer, heartbeat);
    this.#timer = clock.after(Math.max(0, BEAT_MILLIS - (clock.monotonic() - began)), () => this.beat());
  }

  #failed(why: string): void {
    this.#failures++;
    if (this.#connected !== false)
      this.#options.log.warn({ control: this.#options.control, why }, 'control plane away; serving goes on without it');
    this.#connected = false;
  }

  #arrived(answer: HeartbeatAnswer, sent: Heartbeat): void {
    if (this.#connected !== true)
      this.#options.log.info({ control: this.#options.control, missed: this.#failures }, 'control plane connected');
    this.#connected = true;
    this.#failures = 0;
    if (answer.snapshot !== this.#snapshot || answer.state !== this.#state) {
      this.#snapshot = answer.snapshot;
      this.#state = answer.state;
      this.#options.onNews?.({ snapshot: answer.snapshot, state: answer.state });
    }
    const { standby } = answer;
    if (typeof standby === 'string' && standby !== this.#standby && URL.canParse(standby)) {
      this.#standby = standby;
      this.#options.takeStandby?.(standby.replace(/\/+$/, ''));
    }
    const missing = answer.purges.filter((entry) => entry.number > sent.purgeLogNumber);
    if (missing.length > 0) void this.#purge(missing);
    if (answer.manifestVersion !== 0 && answer.manifestVersion !== this.#manifestVersion) void this.#manifest();
  }

  /** While purges are being applied, answers repeat them: the appliance's number has not moved yet. */
  async #purge(entries: readonly PurgeEntry[]): Promise<void> {
    if (this.#purging) return;
    this.#purging = true;
    try {
      await this.#options.applyPurges(entries);
      this.#purging = false;
      this.beat(); // acknowledges at once
    } catch (error) {
      // Not lost: the number has not moved, so the next answer brings them again.
      this.#options.log.error({ err: error, from: entries[0]?.number }, 'purges not applied; they come again');
    } finally {
      this.#purging = false;
    }
  }

  async #manifest(): Promise<void> {
    if (this.#fetching) return;
    this.#fetching = true;
    try {
      const call = await this.#call('GET', '/manifest', undefined, MANIFEST_BYTES, MANIFEST_DEADLINE_MILLIS);
      if (!this.#running) return;
      const manifest = call.ok ? fillManifest(call.value, this.#options.appliance) : undefined;
      if (manifest === undefined) {
        const why = call.ok ? 'not a manifest of this appliance' : call.why;
        this.#options.log.warn({ why }, 'manifest not fetched; the next heartbeat tries again');
        return;
      }
      await this.#options.takeManifest(manifest);
      this.#manifestVersion = manifest.version;
    } catch (error) {
      this.#options.log.error({ err: error }, 'manifest not taken; the next heartbeat tries again');
    } finally {
      this.#fetching = false;
    }
  }

  async #call(
    method: 'GET' | 'POST',
    path: string,
    body: string | undefined,
    limitBytes: number,
    deadlineMillis: number,
  ): Promise<Call> {
    const controller = new AbortController();
    const timer = this.#options.clock.after(deadlineMillis, () => controller.abort(new Error('no answer in time')));
    this.#inFlight.add(controller);
    try {
      const headers: Record<string, string> = { accept: 'application/json' };
      if (body !== undefined) headers['content-type'] = 'application/json';
      if (this.#options.token !== undefined) headers.authorization = `Bearer ${this.#options.token}`;
      const response = await this.#client.request({
        method,
        path: this.#base + path,
        headers,
        body: body ?? null,
        signal: controller.signal,
      });
      const chunks: Buffer[] = [];
      let bytes = 0;
      for await (const chunk of response.body as AsyncIterable<Buffer>) {
        bytes += chunk.length;
        if (bytes > limitBytes) return { ok: false, why: `its answer is longer than ${limitBytes} bytes` };
        chunks.push(chunk);
      }
      const text = Buffer.concat(chunks).toString('utf8');
      if (response.statusCode !== 200)
        return { ok: false, why: `status ${response.statusCode}: ${text.slice(0, 200).trim()}` };
      return { ok: true, value: JSON.parse(text) as unknown };
    } catch (error) {
      return { ok: false, why: error instanceof Error ? error.message || error.name : String(error) };
    } finally {
      timer.cancel();
      this.#inFlight.delete(controller);
    }
  }
}

/** Adds the counts of a heartbeat that did not arrive to the next one. */
function withUndelivered(next: Heartbeat, before: Heartbeat | undefined): Heartbeat {
  if (before === undefined) return next;
  const popularity: Record<string, readonly [number, number]> = Object.assign(Object.create(null), next.popularity);
  let paths = Object.keys(popularity).length;
  for (const [path, [requests, bytes]] of Object.entries(before.popularity ?? {})) {
    const known = popularity[path];
    if (known === undefined && paths++ >= POPULARITY_PATHS) continue;
    popularity[path] = [requests + (known?.[0] ?? 0), bytes + (known?.[1] ?? 0)];
  }
  const answers = {
    total: next.answers.total + before.answers.total,
    errors: next.answers.errors + before.answers.errors,
  };
  return { ...next, answers, popularity };
}

function heartbeatAnswer(value: unknown): HeartbeatAnswer | undefined {
  const answer = value as HeartbeatAnswer | null;
  const right =
    typeof answer === 'object' &&
    answer !== null &&
    Number.isSafeInteger(answer.snapshot) &&
    Number.isSafeInteger(answer.manifestVersion) &&
    typeof answer.state === 'string' &&
    Array.isArray(answer.purges);
  return right ? answer : undefined;
}

function fillManifest(value: unknown, appliance: string): FillManifest | undefined {
  const manifest = value as FillManifest | null;
  const right =
    typeof manifest === 'object' &&
    manifest !== null &&
    Number.isSafeInteger(manifest.version) &&
    manifest.appliance === appliance &&
    Array.isArray(manifest.assets) &&
    Array.isArray(manifest.sources);
  return right ? manifest : undefined;
}
