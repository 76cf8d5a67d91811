/** The parts that have a configuration file, and what it may hold: for `nearcast config` and the published schemas. */
import { CONTROL_OPTIONS } from '../control-plane/options.ts';
import { EDGE_OPTIONS } from '../edge-server/options.ts';
import { EDGE_SECTIONS } from '../edge-server/service-options.ts';
import { ORIGIN_OPTIONS } from '../origin/options.ts';
import { configSchema } from '../runtime/config-schema.ts';
import type { Shape } from '../runtime/config-shape.ts';
import { EXIT, Fault } from '../runtime/errors.ts';
import { nearest } from '../runtime/nearest.ts';
import type { OptionTable } from '../runtime/options.ts';
import { UP_OPTIONS } from './up-options.ts';

export interface ConfigPart {
  readonly options: OptionTable;
  readonly sections: Shape;
}

export const CONFIG_PARTS: Readonly<Record<string, ConfigPart>> = {
  edge: { options: EDGE_OPTIONS, sections: EDGE_SECTIONS },
  control: { options: CONTROL_OPTIONS, sections: {} },
  origin: { options: ORIGIN_OPTIONS, sections: {} },
  up: { options: UP_OPTIONS, sections: {} },
};

/** The published schema of a part, as text. */
export function schemaText(part: string): string {
  const { options, sections } = CONFIG_PARTS[part]!;
  return `${JSON.stringify(configSchema(part, { ...options, ...sections }), undefined, 2)}\n`;
}

/** Takes `--part NAME` out of the words; the part is undefined when it is not among them. */
export function partOfWords(argv: readonly string[]): { part: string | undefined; words: string[] } {
  const words = [...argv];
  const at = words.indexOf('--part');
  const part = at < 0 ? undefined : words.splice(at, 2)[1];
  const parts = Object.keys(CONFIG_PARTS);
  if (at >= 0 && (part === undefined || !parts.includes(part))) {
    const close = nearest(part ?? '', parts);
    throw new Fault('usage', `--part: '${part ?? ''}' is none of ${parts.join(', ')}`, {
      source: 'operator',
      fix: close === undefined ? `give one of ${parts.join(', ')}` : `did you mean ${close}?`,
      exit: EXIT.usage,
    });
  }
  return { part, words };
}
