/**
 * SIGHUP: the configuration is read again from where it came; a good one is put in force in every worker, a bad one
 * leaves the old one running and is told in the log and a metric. What only a restart can change is named.
 */
import type { Clock } from '../runtime/clock.ts';
import { Fault } from '../runtime/errors.ts';
import type { Logger } from '../runtime/log.ts';
import { flagName } from '../runtime/options.ts';
import type { EdgeConfiguration } from './configuration.ts';
import { EDGE_OPTIONS, type EdgeOptions } from './options.ts';

/** Options that are read where they are used, so that running workers can take them over. */
const RELOADED: ReadonlySet<keyof EdgeOptions> = new Set([
  'upstream',
  'tlsCert',
  'tlsKey',
  'canonicalHost',
  'profile',
  'purgeFrom',
  'nextTarget',
  'upstreamConnectTimeout',
  'upstreamHeadTimeout',
  'upstreamBodyTimeout',
  'upstreamConnections',
  'upstreamRetries',
]);

export interface ConfigFigures {
  readonly loaded: number;
  readonly refused: number;
  /** False while the newest text is not what runs. */
  readonly good: boolean;
  readonly loadedMillis: number;
  /** Options that differ from what runs and need a restart. */
  readonly restartNeeded: readonly string[];
}

export interface ReloadOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Throws a `Fault` for a bad one. */
  readonly read: () => EdgeConfiguration;
  readonly running: () => EdgeConfiguration;
  readonly apply: (configuration: EdgeConfiguration) => Promise<void>;
}

export class Reload {
  readonly #options: ReloadOptions;
  #running: Promise<void> = Promise.resolve();
  #figures: ConfigFigures;

  constructor(options: ReloadOptions) {
    this.#options = options;
    this.#figures = { loaded: 1, refused: 0, good: true, loadedMillis: options.clock.now(), restartNeeded: [] };
  }

  get figures(): ConfigFigures {
    return this.#figures;
  }

  /** One after the other, in the order of the signals. Never rejects. */
  again(): Promise<void> {
    this.#running = this.#running.then(() => this.#reload());
    return this.#running;
  }

  async #reload(): Promise<void> {
    const { clock, log, read, running, apply } = this.#options;
    let fresh: EdgeConfiguration;
    try {
      fresh = read();
    } catch (error) {
      return this.#refuse(error, 'configuration not loaded, the old one stays');
    }
    const restartNeeded = differing(running().options, fresh.options);
    try {
      await apply({ ...fresh, options: merged(running().options, fresh.options) });
    } catch (error) {
      return this.#refuse(error, 'configuration not in force in every worker');
    }
    const loaded = this.#figures.loaded + 1;
    this.#figures = { ...this.#figures, loaded, good: true, loadedMillis: clock.now(), restartNeeded };
    log.info({ services: fresh.services.map(({ name }) => name), restartNeeded }, 'configuration loaded');
  }

  #refuse(error: unknown, message: string): void {
    this.#figures = { ...this.#figures, refused: this.#figures.refused + 1, good: false };
    this.#options.log.error({ why: error instanceof Fault ? error.line() : String(error) }, message);
  }
}

function merged(running: EdgeOptions, fresh: EdgeOptions): EdgeOptions {
  const reloaded = Object.entries(fresh).filter(([name]) => RELOADED.has(name as keyof EdgeOptions));
  return { ...running, ...Object.fromEntries(reloaded) };
}

function differing(running: EdgeOptions, fresh: EdgeOptions): string[] {
  return (Object.keys(EDGE_OPTIONS) as (keyof EdgeOptions)[])
    .filter((name) => !RELOADED.has(name) && JSON.stringify(running[name]) !== JSON.stringify(fresh[name]))
    .map(flagName);
}
