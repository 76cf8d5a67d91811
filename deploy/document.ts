/**
 * Keeps the READMEs true: writes each part's tables of options and counters, from the tables in the code, between
 * markers like `<!-- options -->` and `<!-- /options -->`. `node deploy/document.ts` writes; the test compares.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { CONTROL_COUNTERS } from '../control-plane/counters.ts';
import { CONTROL_OPTIONS } from '../control-plane/options.ts';
import { EDGE_COUNTERS } from '../edge-server/counters.ts';
import { EDGE_OPTIONS } from '../edge-server/options.ts';
import { CERTIFICATE_SHAPE, SERVICE_SHAPE } from '../edge-server/service-options.ts';
import { ORIGIN_COUNTERS } from '../origin/counters.ts';
import { ORIGIN_OPTIONS } from '../origin/options.ts';
import { isOption, type Shape } from '../runtime/config-shape.ts';
import type { MetricTable } from '../runtime/metrics.ts';
import { placeholder } from '../runtime/option-text.ts';
import { flagName, optionsMarkdown } from '../runtime/options.ts';
import { schemaText } from './config-parts.ts';
import { UP_OPTIONS } from './up-options.ts';

/** Parts whose schema lies in this folder, as `edge.schema.json`. */
export const PUBLISHED_SCHEMAS = ['edge', 'control', 'origin'] as const;

/** README below the project's root → marker → the text that belongs there. */
export const DOCUMENTED: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'edge-server/README.md': {
    options: optionsMarkdown(EDGE_OPTIONS),
    services: keysMarkdown(SERVICE_SHAPE),
    certificates: keysMarkdown(CERTIFICATE_SHAPE),
    counters: countersMarkdown(EDGE_COUNTERS, 'nearcast_edge'),
  },
  'control-plane/README.md': {
    options: optionsMarkdown(CONTROL_OPTIONS),
    counters: countersMarkdown(CONTROL_COUNTERS, 'nearcast_control'),
  },
  'origin/README.md': {
    options: optionsMarkdown(ORIGIN_OPTIONS),
    counters: countersMarkdown(ORIGIN_COUNTERS, 'nearcast_origin'),
  },
  'deploy/README.md': { options: optionsMarkdown(UP_OPTIONS) },
};

/** A README's text with its marked sections as the code's tables say. Throws when a marker is missing. */
export function documented(text: string, sections: Readonly<Record<string, string>>, file: string): string {
  let written = text;
  for (const [marker, content] of Object.entries(sections)) {
    const [open, close] = [`<!-- ${marker} -->`, `<!-- /${marker} -->`];
    const from = written.indexOf(open);
    const to = written.indexOf(close);
    if (from < 0 || to < from) throw new Error(`${file}: no ${open} … ${close}`);
    written = `${written.slice(0, from + open.length)}\n${content}\n${written.slice(to)}`;
  }
  return written;
}

/** A Markdown table of the keys of a configuration file's section, those of sections in it below theirs. */
export function keysMarkdown(shape: Shape): string {
  const rows = (of: Shape, path: string): string[] =>
    Object.entries(of).flatMap(([name, node]) => {
      const key = `${path}${flagName(name)}`;
      const what = isOption(node) ? `${placeholder(node)}${node.required === true ? ', required' : ''}` : node.kind;
      const row = `| \`${key}\` | ${what.replaceAll('|', ' or ')} | ${node.help} |`;
      if (node.kind === 'section') return [row, ...rows(node.of, `${key}.`)];
      return node.kind === 'sections' && name !== 'tls' ? [row, ...rows(node.of, `${key}[].`)] : [row];
    });
  return ['| key | value | what it does |', '|---|---|---|', ...rows(shape, '')].join('\n');
}

/** A Markdown table of a metric table. */
export function countersMarkdown(table: MetricTable, prefix: string): string {
  const rows = Object.entries(table).map(([name, { help, advice, label }]) => {
    const labelled = label === undefined ? '' : `{${label.name}}`;
    return `| \`${prefix}_${name}${labelled}\` | ${help} | ${advice} |`;
  });
  return ['| metric | what it counts | when to care |', '|---|---|---|', ...rows].join('\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [file, sections] of Object.entries(DOCUMENTED)) {
    const path = new URL(`../${file}`, import.meta.url);
    writeFileSync(path, documented(readFileSync(path, 'utf8'), sections, file));
  }
  for (const part of PUBLISHED_SCHEMAS)
    writeFileSync(new URL(`./${part}.schema.json`, import.meta.url), schemaText(part));
}
