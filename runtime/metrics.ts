/**
 * Counters as one table: a sentence each and when an operator should care. Hot paths add to plain numbers
 * in a `Tally`; prom-client reads them at scrape time, so that counting costs one addition.
 */
import { Counter, Gauge, Registry } from 'prom-client';

export { Registry };

export interface MetricSpec {
  kind: 'counter' | 'gauge';
  /** What it counts, one sentence. */
  help: string;
  /** When an operator should care, one sentence. */
  advice: string;
  /** Label name and its closed set of values; never a path, an address or a URL. */
  label?: {
    name: string;
    values: readonly string[];
    /** True where values come from the configuration: each one set is known from then on, at most `MOST_LABELS`. */
    open?: boolean;
  };
}

export type MetricTable = Readonly<Record<string, MetricSpec>>;

/** Series of one metric with an open label, for good. */
export const MOST_LABELS = 1000;

/** Plain numbers behind a metric table. `add` and `set` are what the hot path calls. */
export class Tally<T extends MetricTable> {
  readonly table: T;
  readonly #values = new Map<string, number>();
  /** Values of open labels, by metric. */
  readonly #opened = new Map<string, Set<string>>();

  constructor(table: T) {
    this.table = table;
    for (const [name, spec] of Object.entries(table))
      for (const value of spec.label?.values ?? ['']) this.#values.set(slot(name, value), 0);
  }

  add(name: keyof T & string, amount = 1, label = ''): void {
    const key = slot(name, label);
    this.#values.set(key, (this.#values.get(key) ?? 0) + amount);
  }

  set(name: keyof T & string, value: number, label = ''): void {
    if (this.table[name]!.label?.open === true && !this.#open(name, label)) return;
    this.#values.set(slot(name, label), value);
  }

  #open(name: string, label: string): boolean {
    const opened = this.#opened.get(name) ?? new Set();
    this.#opened.set(name, opened);
    if (opened.size < MOST_LABELS) opened.add(label);
    return opened.has(label);
  }

  #labels(name: string, spec: MetricSpec): Iterable<string> {
    return spec.label?.open === true ? (this.#opened.get(name) ?? []) : (spec.label?.values ?? ['']);
  }

  get(name: keyof T & string, label = ''): number {
    return this.#values.get(slot(name, label)) ?? 0;
  }

  /** All numbers as `{ name: value }` or `{ name: { label: value } }`, for passing between processes and for JSON. */
  snapshot(): Record<string, number | Record<string, number>> {
    const all: Record<string, number | Record<string, number>> = {};
    for (const [name, spec] of Object.entries(this.table)) {
      if (spec.label === undefined) all[name] = this.get(name);
      else all[name] = Object.fromEntries(spec.label.values.map((value) => [value, this.get(name, value)]));
    }
    return all;
  }

  /** Registers every metric as `<prefix>_<name>` with a registry; values are read at scrape time. */
  register(registry: Registry, prefix: string, refresh?: () => void): void {
    for (const [name, spec] of Object.entries(this.table)) {
      const labelNames = spec.label === undefined ? [] : [spec.label.name];
      const collect = (metric: { set?: Gauge['set'] } & Pick<Counter, 'reset' | 'inc'>) => {
        refresh?.();
        metric.reset();
        for (const value of this.#labels(name, spec)) {
          const labels = spec.label === undefined ? {} : { [spec.label.name]: value };
          const amount = this.get(name, value);
          if (metric.set !== undefined) metric.set(labels, amount);
          else metric.inc(labels, amount);
        }
      };
      const configuration = { name: `${prefix}_${name}`, help: `${spec.help} ${spec.advice}`, labelNames };
      const registers = [registry];
      if (spec.kind === 'counter')
        new Counter({
          ...configuration,
          registers,
          collect() {
            collect(this);
          },
        });
      else
        new Gauge({
          ...configuration,
          registers,
          collect() {
            collect(this);
          },
        });
    }
  }
}

function slot(name: string, label: string): string {
  return label === '' ? name : `${name}\0${label}`;
}
