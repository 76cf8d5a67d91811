/**
 * Makes an appliance hold what its manifest says: compares it with the store, fetches the difference in the manifest's
 * order within the window and under the cap, pins it, and tells how far it is. One agent in each worker; it fills
 * the assets that its worker owns.
 *
 * One appliance of the site, the elected one, fetches an asset from outside, the others wait for it and take it from
 * there (`site-peers.ts`). Fetching and checking one asset is `asset-fetch.ts`; storing is the edge's, behind
 * `fill-store.ts`. When the window closes, what is in flight is finished and nothing more begun.
 */
import { Agent } from 'undici';
import type { FillManifest, FillProgress, FillSource } from '../control-plane/api.ts';
import type { Clock, Timer } from '../runtime/clock.ts';
import type { Logger } from '../runtime/log.ts';
import { never } from '../runtime/outcome.ts';
import { type FetchContext, fetchAsset, refusalText } from './asset-fetch.ts';
import { Backlog } from './backlog.ts';
import type { FillStore } from './fill-store.ts';
import { Pace } from './pace.ts';
import type { PlannedManifest } from './planner.ts';
import { MOST_FAILURES, NO_FILL } from './progress.ts';
import { type Asking, SitePeers } from './site-peers.ts';
import { continuedTask, isHeld, newTask, type Task } from './task.ts';
import { DEFAULT_WINDOW, type FillWindow, windowState } from './window.ts';

export interface FillLimits {
  /** Cap of this agent's fetches; `undefined`: none. A worker gets its part of the appliance's cap. */
  readonly bytesPerSecond: number | undefined;
  /** Assets fetched at a time. */
  readonly parallel: number;
  /** Tries of one source that bring nothing new. */
  readonly attempts: number;
  readonly connectMillis: number;
  readonly headMillis: number;
  readonly betweenBytesMillis: number;
  /** How long the elected peer may be away or without news of anything before the next goes wider. */
  readonly patienceMillis: number;
}

/** Upstream figures of conventions §1; the cap is the operator's (conventions §5: 1.2 Gbit/s an appliance). */
export const DEFAULT_LIMITS: FillLimits = {
  bytesPerSecond: undefined,
  parallel: 4,
  attempts: 3,
  connectMillis: 3000,
  headMillis: 10_000,
  betweenBytesMillis: 15_000,
  patienceMillis: 20_000,
};

export interface FillAgentOptions {
  readonly store: FillStore;
  readonly clock: Clock;
  readonly log: Logger;
  /** This appliance's id, as manifests name it. */
  readonly ownAppliance: string;
  readonly limits?: Partial<FillLimits>;
  /** Used where a manifest names none; 02:00-14:00 UTC unless given. */
  readonly window?: FillWindow & { readonly zone: string };
  /** True while clients wait for the processor: the fill then steps aside. */
  readonly busy?: () => boolean;
}

/** A source slower than this, or than a quarter of its part of the cap, is given up. */
const LEAST_BYTES_PER_SECOND = 64 << 10;
/** How often a closed window is looked at again, for the wall clock may be set. */
const WINDOW_CHECK_MILLIS = 60_000;

export class FillAgent {
  readonly #options: FillAgentOptions;
  readonly #limits: FillLimits;
  readonly #pace: Pace;
  #dispatcher: Agent | undefined;
  #manifest: PlannedManifest | undefined;
  #peers: SitePeers | undefined;
  #tasks = new Map<string, Task>();
  #backlog = new Backlog<Task>([]);
  readonly #running = new Map<Task, Promise<void>>();
  #count = newCount();
  #open = false;
  #timer: Timer | undefined;
  #settled = Promise.withResolvers<void>();
  #closing: Promise<void> | undefined;

  constructor(options: FillAgentOptions) {
    this.#options = options;
    this.#limits = { ...DEFAULT_LIMITS, ...options.limits };
    this.#pace = new Pace({ clock: options.clock, bytesPerSecond: this.#limits.bytesPerSecond, busy: options.busy });
    this.#settled.resolve();
  }

  /**
   * Takes a manifest as the desired state from now on; one of the version in force changes nothing. What is being
   * fetched and still wanted goes on; pins of what left the manifest are taken off.
   */
  obey(manifest: FillManifest): void {
    if (this.#closing !== undefined || manifest.version === this.#manifest?.version) return;
    const { store, log, ownAppliance } = this.#options;
    const before = this.#tasks;
    this.#tasks = new Map();
    this.#count = newCount();
    for (const asset of manifest.assets) {
      if (!store.owns(asset.path)) continue;
      this.#tasks.set(asset.path, continuedTask(before.get(asset.path), asset) ?? newTask(asset));
      this.#count.bytesPlanned += asset.bytes;
    }
    for (const [path, task] of before) {
      if (this.#tasks.get(path) !== task) task.abort.abort();
      if (!this.#tasks.has(path)) store.pin(path, false);
    }
    this.#manifest = manifest;
    this.#peers = new SitePeers({
      ownAppliance,
      sources: manifest.sources,
      patienceMillis: this.#limits.patienceMillis,
    });
    this.#backlog = new Backlog([...this.#tasks.values()].filter((task) => task.state === 'waiting'));
    this.#settled.resolve();
    this.#settled = Promise.withResolvers();
    log.info({ manifest: manifest.version, assets: this.#tasks.size, bytes: this.#count.bytesPlanned }, 'fill begins');
    this.#advance();
  }

  progress(): FillProgress {
    if (this.#manifest === undefined) return NO_FILL;
    let bytesDone = this.#count.bytesDone;
    for (const task of this.#running.keys()) if (this.#isWanted(task)) bytesDone += task.received;
    return {
      manifestVersion: this.#manifest.version,
      state: this.#isDone() ? 'done' : this.#open || this.#running.size > 0 ? 'filling' : 'paused',
      assetsPlanned: this.#tasks.size,
      assetsDone: this.#count.assetsDone,
      bytesPlanned: this.#count.bytesPlanned,
      bytesDone,
      bytesBySource: { ...this.#count.bytesBySource },
      failures: [...this.#count.failures],
    };
  }

  /** Resolves when everything of the manifest in force is held or has failed, at a new manifest, and at `close`. */
  settled(): Promise<void> {
    return this.#settled.promise;
  }

  /** Stops, leaving nothing half-stored, and waits until nothing runs. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#timer?.cancel();
    for (const task of this.#running.keys()) task.abort.abort();
    await Promise.all(this.#running.values());
    await this.#dispatcher?.destroy();
    this.#settled.resolve();
  }

  /** Starts what may start now, and sets the timer for what may later. */
  #advance(): void {
    this.#timer?.cancel();
    if (this.#closing !== undefined || this.#manifest === undefined) return;
    if (this.#isDone()) return this.#end();
    const { clock } = this.#options;
    const opensInMillis = this.#opensInMillis();
    this.#open = opensInMillis === 0;
    if (!this.#open) {
      this.#timer = clock.after(Math.min(opensInMillis, WINDOW_CHECK_MILLIS), () => this.#advance());
      return;
    }
    while (this.#running.size < this.#limits.parallel) {
      const task = this.#backlog.take(clock.monotonic());
      if (task === undefined) break;
      this.#start(task);
    }
    const dueAt = this.#backlog.dueAt();
    if (dueAt !== undefined && this.#running.size < this.#limits.parallel)
      this.#timer = clock.after(Math.max(1, dueAt - clock.monotonic()), () => this.#advance());
  }

  #start(task: Task): void {
    task.state = 'active';
    const work = this.#fill(task)
      .catch((error: unknown) => this.#fail(task, `internal: ${String(error)}`))
      .then(() => {
        this.#running.delete(task);
        this.#advance();
      });
    this.#running.set(task, work);
  }

  async #fill(task: Task): Promise<void> {
    const { store, clock } = this.#options;
    const { asset, waiting, abort } = task;
    const held = await store.held(asset.path);
    if (abort.signal.aborted) return;
    if (isHeld(held, asset)) return this.#done(task);
    const peers = this.#peers!;
    const asking = peers.ask(asset, waiting, clock.monotonic());
    const outcome = await fetchAsset(asset, asking.sources, this.#context(task));
    if (abort.signal.aborted) return;
    switch (outcome.kind) {
      case 'stored':
        if (outcome.source.kind === 'peer') peers.gave(outcome.source.id, clock.monotonic());
        return this.#done(task);
      case 'unfetched':
        for (const { source, refusal } of outcome.refusals)
          if (source.kind === 'peer') peers.refused(source.id, refusal, clock.monotonic());
        if (asking.waitsFor !== undefined) return this.#putBack(task, peers, asking.waitsFor);
        return this.#fail(task, outcome.refusals.map((one) => refusalText(one.source, one.refusal)).join('; '));
      case 'unstored':
        return this.#fail(task, `store: ${outcome.why}`);
      case 'not-owner':
        return this.#fail(task, 'store: another worker owns it');
      case 'stopped':
        return;
      default:
        never(outcome);
    }
  }

  #context(task: Task): FetchContext {
    const { store, clock } = this.#options;
    const { bytesPerSecond, parallel, attempts, headMillis, betweenBytesMillis } = this.#limits;
    const leastBytesPerSecond = Math.min(LEAST_BYTES_PER_SECOND, (bytesPerSecond ?? Infinity) / parallel / 4);
    return {
      store,
      clock,
      dispatcher: this.#connections(),
      pace: this.#pace,
      limits: { attempts, headMillis, betweenBytesMillis, leastBytesPerSecond },
      signal: task.abort.signal,
      onBytes: (source: FillSource, bytes: number) => {
        task.received += bytes;
        if (this.#isWanted(task)) this.#count.bytesBySource[source.kind] += bytes;
      },
      onRestart: () => {
        task.received = 0;
      },
    };
  }

  /** Opened at the first fetch, closed by `close`. */
  #connections(): Agent {
    const { connectMillis, parallel } = this.#limits;
    this.#dispatcher ??= new Agent({
      connect: { timeout: connectMillis },
      connections: parallel,
      pipelining: 1,
      keepAliveTimeout: 10_000,
      allowH2: false,
    });
    return this.#dispatcher;
  }

  #putBack(task: Task, peers: SitePeers, waitsFor: NonNullable<Asking['waitsFor']>): void {
    const { clock, log } = this.#options;
    if (!this.#isWanted(task)) return;
    if (peers.passesOver(task.asset, waitsFor, task.waiting, clock.monotonic())) {
      log.warn({ path: task.asset.path, peer: waitsFor }, 'fill goes wider: the elected peer does not have it');
      task.deferrals = 0;
    }
    task.state = 'waiting';
    this.#backlog.defer(task, ++task.deferrals, clock.monotonic());
  }

  #done(task: Task): void {
    task.state = 'ended';
    if (!this.#isWanted(task)) return;
    this.#options.store.pin(task.asset.path, task.asset.pinned);
    task.received = 0;
    this.#count.assetsDone++;
    this.#count.ended++;
    this.#count.bytesDone += task.asset.bytes;
  }

  #fail(task: Task, why: string): void {
    task.state = 'ended';
    if (!this.#isWanted(task)) return;
    this.#options.log.warn({ path: task.asset.path, why }, 'fill failed');
    task.received = 0;
    this.#count.ended++;
    this.#count.failures.push({ path: task.asset.path, why });
    if (this.#count.failures.length > MOST_FAILURES) this.#count.failures.shift();
  }

  #end(): void {
    if (this.#count.told) return;
    this.#count.told = true;
    const { manifestVersion, assetsDone, assetsPlanned, bytesBySource } = this.progress();
    this.#options.log.info({ manifest: manifestVersion, assetsDone, assetsPlanned, bytesBySource }, 'fill done');
    this.#settled.resolve();
  }

  /** A task of a manifest that was replaced has no say any more. */
  #isWanted(task: Task): boolean {
    return this.#tasks.get(task.asset.path) === task;
  }

  #isDone(): boolean {
    return this.#count.ended === this.#tasks.size;
  }

  /** 0: it may fill now. */
  #opensInMillis(): number {
    if (this.#manifest!.now) return 0;
    const { zone, ...window } = this.#manifest!.window ?? this.#options.window ?? { ...DEFAULT_WINDOW, zone: 'UTC' };
    const now = this.#options.clock.now();
    const state = windowState(now, zone, window);
    return state.kind === 'open' ? 0 : Math.max(1, state.opensAtMillis - now);
  }
}

function newCount() {
  return {
    bytesPlanned: 0,
    bytesDone: 0,
    assetsDone: 0,
    /** Done or failed. */
    ended: 0,
    told: false,
    bytesBySource: { peer: 0, region: 0, origin: 0 },
    failures: [] as { path: string; why: string }[],
  };
}
