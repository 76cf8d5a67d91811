/**
 * Reads a worker's event-loop delay and resident memory once a second, decides (`overload.ts`), logs each transition in
 * one line, and holds what the handler asks: what is shed, and why. What memory means for connections it passes on.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Clock, Timer } from '../runtime/clock.ts';
import type { Logger } from '../runtime/log.ts';
import { NO_PRESSURE, type Pressure } from './http/pressure.ts';
import type { EdgeOptions } from './options.ts';
import {
  AT_REST,
  delayRule,
  type LadderRule,
  type LadderState,
  levelOf,
  MEMORY_LEVELS,
  memoryRule,
  SHED_LEVELS,
  type ShedLevel,
  step,
} from './overload.ts';
import type { Unable } from './serve/context.ts';

const READ_MILLIS = 1000;
const RESOLUTION_MILLIS = 20;
const SHORT_IDLE_MILLIS = 5_000;

/** By place in `MEMORY_LEVELS`. */
const PRESSURES: readonly Pressure[] = [
  NO_PRESSURE,
  { idleMillis: SHORT_IDLE_MILLIS, keepAlive: true, accepts: true },
  { idleMillis: SHORT_IDLE_MILLIS, keepAlive: false, accepts: true },
  { idleMillis: SHORT_IDLE_MILLIS, keepAlive: false, accepts: false },
];

export interface Reading {
  readonly delayMillis: number;
  readonly residentBytes: number;
}

/** For the report to the supervisor. */
export interface OverloadFigures {
  /** p99 of the event-loop delay over the last second. */
  readonly delayMillis: number;
  readonly residentBytes: number;
  /** Places in `SHED_LEVELS` and `MEMORY_LEVELS`. */
  readonly shedLevel: number;
  readonly memoryLevel: number;
}

export interface OverloadWatchOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly options: Pick<
    EdgeOptions,
    'shedMissesDelay' | 'shedAllDelay' | 'memoryIdlePercent' | 'memoryClosePercent' | 'memoryRefusePercent'
  >;
  /** Memory of this worker; 0 for no rule. */
  readonly budgetBytes: number;
  /** Every volume of the disk tier is set aside. */
  diskLost(): boolean;
  onPressure(pressure: Pressure): void;
  /** Instead of the process's own. */
  readonly read?: () => Reading;
}

export class OverloadWatch {
  readonly #options: OverloadWatchOptions;
  readonly #delay = monitorEventLoopDelay({ resolution: RESOLUTION_MILLIS });
  readonly #delayRule: LadderRule;
  readonly #memoryRule: LadderRule;
  #delayState: LadderState = AT_REST;
  #memoryState: LadderState = AT_REST;
  #figures: OverloadFigures = { delayMillis: 0, residentBytes: 0, shedLevel: 0, memoryLevel: 0 };
  #timer: Timer | undefined;
  #diskLost = false;
  draining = false;

  constructor(options: OverloadWatchOptions) {
    const { shedMissesDelay, shedAllDelay, memoryIdlePercent, memoryClosePercent, memoryRefusePercent } =
      options.options;
    this.#options = options;
    this.#delayRule = delayRule(shedMissesDelay, shedAllDelay);
    this.#memoryRule = memoryRule(options.budgetBytes, [memoryIdlePercent, memoryClosePercent, memoryRefusePercent]);
  }

  start(): void {
    this.#delay.enable();
    this.#timer ??= this.#options.clock.every(READ_MILLIS, () => this.#look());
  }

  close(): void {
    this.#timer?.cancel();
    this.#delay.disable();
  }

  get figures(): OverloadFigures {
    return this.#figures;
  }

  get sheds(): ShedLevel {
    return SHED_LEVELS[this.#figures.shedLevel]!;
  }

  /** Why requests that would be forwarded had better go elsewhere where there is an elsewhere; `undefined`: no reason. */
  get unable(): Unable | undefined {
    if (this.draining) return 'draining';
    return this.#diskLost ? 'disk-lost' : undefined;
  }

  #look(): void {
    const { clock, diskLost, onPressure } = this.#options;
    const now = clock.monotonic();
    const { delayMillis, residentBytes } = (this.#options.read ?? (() => this.#read()))();
    this.#delayState = step(this.#delayState, delayMillis, now, this.#delayRule);
    this.#memoryState = step(this.#memoryState, residentBytes, now, this.#memoryRule);
    const before = this.#figures;
    const shedLevel = levelOf(this.#delayState);
    const memoryLevel = levelOf(this.#memoryState);
    this.#figures = { delayMillis, residentBytes, shedLevel, memoryLevel };
    if (shedLevel !== before.shedLevel)
      this.#tell({
        sheds: SHED_LEVELS[shedLevel],
        shed: SHED_LEVELS[before.shedLevel],
        because: 'event-loop-delay',
        valueMillis: Math.round(delayMillis),
        thresholdMillis: crossed(this.#delayRule, before.shedLevel, shedLevel),
      });
    if (memoryLevel !== before.memoryLevel) {
      this.#tell({
        connections: MEMORY_LEVELS[memoryLevel],
        were: MEMORY_LEVELS[before.memoryLevel],
        because: 'memory',
        valueBytes: residentBytes,
        thresholdBytes: crossed(this.#memoryRule, before.memoryLevel, memoryLevel),
      });
      onPressure(PRESSURES[memoryLevel]!);
    }
    const lost = diskLost();
    if (lost !== this.#diskLost) this.#tell({ diskLost: lost, because: 'volumes' });
    this.#diskLost = lost;
  }

  #tell(transition: Record<string, unknown>): void {
    this.#options.log.warn(transition, 'overload');
  }

  #read(): Reading {
    const delayMillis = Math.max(0, this.#delay.percentile(99) / 1e6 - RESOLUTION_MILLIS);
    this.#delay.reset();
    return { delayMillis, residentBytes: process.memoryUsage.rss() };
  }
}

/** The threshold that a transition passed, upwards or downwards. */
function crossed(rule: LadderRule, before: number, after: number): number {
  return rule.thresholds[Math.max(before, after) - 1]!;
}
