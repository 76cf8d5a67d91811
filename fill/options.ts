/**
 * Options of the fill on an appliance: spread into the edge's table, so that its parser, `--help` and README have
 * them, and turned into what the agent wants.
 */
import { EXIT, Fault } from '../runtime/errors.ts';
import type { OptionsOf, OptionTable } from '../runtime/options.ts';
import type { FillLimits } from './agent.ts';
import { type FillWindow, isZone, parseWindow } from './window.ts';

export const FILL_OPTIONS = {
  fillRate: {
    kind: 'bytes',
    default: 0,
    min: 0,
    help: 'Most bytes a second that fills may fetch, all workers together; 0 for no cap (1.2 Gbit/s is 150MB).',
  },
  fillParallel: { kind: 'integer', default: 4, min: 1, max: 64, help: 'Assets that a worker fills at a time.' },
  fillWindow: {
    kind: 'string',
    default: '02:00-14:00',
    placeholder: 'HH:MM-HH:MM',
    help: 'When fills may run, where the control plane names no window for the site; 00:00-24:00 for always.',
  },
  fillZone: {
    kind: 'string',
    default: 'UTC',
    placeholder: 'ZONE',
    help: 'Time zone of that window, e.g. Europe/Berlin.',
  },
  fillPatience: {
    kind: 'duration',
    default: 20_000,
    min: 0,
    help: 'How long to wait for the appliance of the site that was elected to fetch an asset before going outside.',
  },
} as const satisfies OptionTable;

export interface FillSettings {
  readonly limits: Partial<FillLimits>;
  readonly window: FillWindow & { readonly zone: string };
}

/** What one of `workers` agents gets. Throws a usage `Fault` for a window or zone that is none. */
export function fillSettings(options: OptionsOf<typeof FILL_OPTIONS>, workers: number): FillSettings {
  const window = parseWindow(options.fillWindow);
  if (window === undefined)
    throw badOption(
      `--fill-window: '${options.fillWindow}' is not a span of the day`,
      'give HH:MM-HH:MM, e.g. 02:00-14:00',
    );
  if (!isZone(options.fillZone))
    throw badOption(`--fill-zone: '${options.fillZone}' is not a time zone`, 'give an IANA name, e.g. Europe/Berlin');
  return {
    limits: {
      bytesPerSecond: options.fillRate === 0 ? undefined : options.fillRate / workers,
      parallel: options.fillParallel,
      patienceMillis: options.fillPatience,
    },
    window: { ...window, zone: options.fillZone },
  };
}

function badOption(message: string, fix: string): Fault {
  return new Fault('option-value', message, { source: 'operator', fix, exit: EXIT.usage });
}
