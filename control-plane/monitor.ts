/**
 * When to probe which appliance: light every 3 s ± 10 %, again after 1 s while it is unsure, at once on a hint; deep
 * every 10 s, again after 1 s when it failed. At most one probe of a kind runs for an appliance. How is `probes.ts`.
 */
import type { Clock, Timer } from '../runtime/clock.ts';
import type { Tally } from '../runtime/metrics.ts';
import type { CONTROL_COUNTERS } from './counters.ts';
import type { Fleet, FleetListener } from './fleet.ts';
import type { ProbeResult } from './health-record.ts';
import type { DeepResult, ProbeSample } from './probes.ts';

const LIGHT_MILLIS = 3000;
const DEEP_MILLIS = 10_000;
const SECOND_LOOK_MILLIS = 1000;
/** ± this share, so that a fleet is not probed in step. */
const JITTER = 0.1;
/** Hints, which come from outside, make no more probes than this. */
const HINT_MILLIS = 300;

export interface MonitorParts {
  readonly fleet: Pick<Fleet, 'listen' | 'probeTarget' | 'probed'>;
  readonly clock: Clock;
  readonly tally: Tally<typeof CONTROL_COUNTERS>;
  readonly prober: {
    light(url: string, appliance: string): Promise<ProbeResult>;
    deep(url: string, sample: ProbeSample): Promise<DeepResult>;
  };
  /** A small object that every appliance can serve; `undefined` while none is known. */
  sample(): ProbeSample | undefined;
  /** 0 … 1. */
  random(): number;
}

interface Watch {
  light: Timer | undefined;
  deep: Timer | undefined;
  lightRunning: boolean;
  deepRunning: boolean;
  /** A hint came while a probe was running. */
  lightAgain: boolean;
  lightAt: number;
}

export class Monitor implements FleetListener {
  readonly #parts: MonitorParts;
  readonly #watches = new Map<string, Watch>();
  #closed = false;

  constructor(parts: MonitorParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#parts.fleet.listen(this);
  }

  close(): void {
    this.#closed = true;
    for (const { light, deep } of this.#watches.values()) {
      light?.cancel();
      deep?.cancel();
    }
  }

  known(id: string): void {
    if (this.#closed) return;
    const watch = this.#watches.get(id);
    if (watch !== undefined) return this.#lookNow(id, watch);
    const fresh = {
      light: undefined,
      deep: undefined,
      lightRunning: false,
      deepRunning: false,
      lightAgain: false,
      lightAt: -HINT_MILLIS,
    };
    this.#watches.set(id, fresh);
    this.#lookNow(id, fresh);
    this.#scheduleDeep(id, fresh, SECOND_LOOK_MILLIS);
  }

  doubtful(id: string): void {
    const watch = this.#watches.get(id);
    if (watch === undefined || this.#closed) return;
    const wait = watch.lightAt + HINT_MILLIS - this.#parts.clock.monotonic();
    if (wait <= 0) this.#lookNow(id, watch);
    else this.#scheduleLight(id, watch, wait);
  }

  misbehaving(id: string): void {
    const watch = this.#watches.get(id);
    if (watch !== undefined && !this.#closed) this.#scheduleDeep(id, watch, 0);
  }

  #lookNow(id: string, watch: Watch): void {
    if (watch.lightRunning) {
      watch.lightAgain = true;
      return;
    }
    watch.light?.cancel();
    void this.#light(id, watch);
  }

  #scheduleLight(id: string, watch: Watch, millis: number): void {
    watch.light?.cancel();
    watch.light = this.#parts.clock.after(millis, () => void this.#light(id, watch));
  }

  #scheduleDeep(id: string, watch: Watch, millis: number): void {
    watch.deep?.cancel();
    watch.deep = this.#parts.clock.after(millis, () => void this.#deep(id, watch));
  }

  async #light(id: string, watch: Watch): Promise<void> {
    const { fleet, clock, tally, prober } = this.#parts;
    const target = fleet.probeTarget(id);
    if (target === undefined || watch.lightRunning) return;
    watch.lightRunning = true;
    watch.lightAt = clock.monotonic();
    const result = await prober.light(target.url, id);
    watch.lightRunning = false;
    if (this.#closed) return;
    tally.add('probes_total', 1, result.ok ? 'ok' : result.why);
    fleet.probed(id, { kind: 'probe', probe: 'light', result });
    const soon = watch.lightAgain || fleet.probeTarget(id)?.unsure === true;
    watch.lightAgain = false;
    this.#scheduleLight(id, watch, soon ? SECOND_LOOK_MILLIS : this.#jittered(LIGHT_MILLIS));
  }

  async #deep(id: string, watch: Watch): Promise<void> {
    const { fleet, tally, prober } = this.#parts;
    const target = fleet.probeTarget(id);
    const sample = this.#parts.sample();
    if (target === undefined || watch.deepRunning) return;
    if (sample === undefined) return this.#scheduleDeep(id, watch, this.#jittered(LIGHT_MILLIS));
    watch.deepRunning = true;
    const result = await prober.deep(target.url, sample);
    watch.deepRunning = false;
    if (this.#closed) return;
    tally.add('probes_total', 1, result.ok === true ? 'ok' : result.ok === false ? result.why : 'inconclusive');
    if (result.ok !== 'inconclusive') fleet.probed(id, { kind: 'probe', probe: 'deep', result });
    const soon = result.ok === false && target.state !== 'unhealthy';
    this.#scheduleDeep(id, watch, soon ? SECOND_LOOK_MILLIS : this.#jittered(DEEP_MILLIS));
  }

  #jittered(millis: number): number {
    return millis * (1 - JITTER + 2 * JITTER * this.#parts.random());
  }
}
