/**
 * Options as one table: default, unit, bounds, a sentence. The parser, `--help`, the YAML file, the environment
 * and the READMEs all come from it. Parsed once, frozen; an unknown key is an error that names the nearest one.
 * Precedence: command line, then `NEARCAST_<PART>_<OPTION>`, then the file given with `--config`, then the default.
 */
import { readFileSync } from 'node:fs';
import { type ConfigDocument, readConfigText } from './config-file.ts';
import type { Shape } from './config-shape.ts';
import { EXIT, Fault } from './errors.ts';
import { nearest } from './nearest.ts';
import type { OptionsOf, OptionTable } from './option-table.ts';
import { defaultText, flagName, placeholder } from './option-text.ts';
import { convert, usage } from './option-value.ts';

export type { ListenAddress, OptionKind, OptionSpec, OptionsOf, OptionTable } from './option-table.ts';
export { addressText, flagName } from './option-text.ts';

export interface ParseInput {
  /** Names the environment prefix and the messages, e.g. `edge`. */
  part: string;
  argv: readonly string[];
  env?: NodeJS.ProcessEnv;
  /** A YAML file; the option `--config FILE` is understood by every part and overrides this. */
  file?: string;
}

/** Parses and freezes. Throws a usage `Fault` that names the place (flag, variable, or file:line:column) and the fix. */
export function parseOptions<const T extends OptionTable>(table: T, input: ParseInput): OptionsOf<T> {
  return readOptions(table, input).options;
}

export interface ReadOptions<T extends OptionTable> {
  readonly options: OptionsOf<T>;
  /** Where each value comes from: `--flag`, a variable, `file:line:column: key`, or `default`. */
  readonly sources: Readonly<Record<keyof T, string>>;
  /** The file of `--config`, with what it holds beyond options; undefined without one. */
  readonly document: ConfigDocument | undefined;
}

/** The same with where each value comes from. `sections` are what the file may hold beside the options. */
export function readOptions<const T extends OptionTable>(
  table: T,
  input: ParseInput,
  sections: Shape = {},
): ReadOptions<T> {
  const given = new Map<string, { raw: unknown; place: string }>();
  const { flags, config } = readArgv(table, input);
  const file = config ?? input.file;
  const document = file === undefined ? undefined : readConfigText(configText(file), file, { ...table, ...sections });
  const [problem] = document?.problems ?? [];
  if (problem !== undefined) throw problem;
  const parsed: Record<string, unknown> = {};
  const sources: Record<string, string> = {};
  for (const name of Object.keys(table)) {
    const variable = variableName(input.part, name);
    const raw = input.env?.[variable];
    if (raw !== undefined) given.set(name, { raw, place: variable });
  }
  for (const [name, entry] of flags) given.set(name, entry);

  for (const [name, spec] of Object.entries(table)) {
    const entry = given.get(name);
    sources[name] = entry?.place ?? 'default';
    if (entry !== undefined) parsed[name] = convert(spec, entry.raw, entry.place);
    else if (document !== undefined && Object.hasOwn(document.values, name)) {
      parsed[name] = document.values[name];
      sources[name] = document.place(document.values, name);
    } else if (spec.default !== undefined) parsed[name] = spec.default;
    else if (spec.required === true)
      throw usage('option-missing', `--${flagName(name)} is required`, `give --${flagName(name)} ${placeholder(spec)}`);
    else parsed[name] = undefined;
  }
  return {
    options: Object.freeze(parsed) as OptionsOf<T>,
    sources: sources as Record<keyof T, string>,
    document,
  };
}

/** The `--help` text of a table, one aligned block. */
export function helpText(table: OptionTable, part: string): string {
  const rows = Object.entries(table).map(([name, spec]) => {
    const flag = spec.kind === 'boolean' ? `--${flagName(name)}` : `--${flagName(name)} ${placeholder(spec)}`;
    const fallback = spec.required === true ? ' (required)' : ` (default ${defaultText(spec)})`;
    return { flag, text: `${spec.help}${fallback}` };
  });
  rows.push({
    flag: '--config FILE',
    text: 'Reads options from a YAML file; the command line and the environment win.',
  });
  const width = Math.max(...rows.map((row) => row.flag.length));
  const lines = rows.map((row) => `  ${row.flag.padEnd(width)}  ${row.text}`);
  return `${lines.join('\n')}\n\nEach option is also NEARCAST_${part.toUpperCase().replaceAll('-', '_')}_<OPTION> in the environment.\n`;
}

/** A Markdown table of the options, as the part's README carries it. */
export function optionsMarkdown(table: OptionTable): string {
  const rows = Object.entries(table).map(
    ([name, spec]) =>
      `| \`--${flagName(name)}\` | ${spec.required === true ? 'required' : defaultText(spec)} | ${spec.help} |`,
  );
  return ['| option | default | what it does |', '|---|---|---|', ...rows].join('\n');
}

function variableName(part: string, name: string): string {
  return `NEARCAST_${part}_${flagName(name)}`.toUpperCase().replaceAll('-', '_');
}

function readArgv(table: OptionTable, input: ParseInput) {
  const flags = new Map<string, { raw: unknown; place: string }>();
  let config: string | undefined;
  const byFlag = new Map(Object.keys(table).map((name) => [flagName(name), name]));
  for (let i = 0; i < input.argv.length; i++) {
    const word = input.argv[i]!;
    if (!word.startsWith('--'))
      throw usage('unexpected-argument', `'${word}' is not an option of ${input.part}`, 'see --help');
    const equals = word.indexOf('=');
    const flag = equals < 0 ? word.slice(2) : word.slice(2, equals);
    const inline = equals < 0 ? undefined : word.slice(equals + 1);
    const negated = flag.startsWith('no-') && !byFlag.has(flag) ? flag.slice(3) : undefined;
    if (flag !== 'config' && !byFlag.has(negated ?? flag))
      throw unknownOption(`--${flag}`, flag, [...byFlag.keys(), 'config'], '--');
    const name = byFlag.get(negated ?? flag);
    const spec = name === undefined ? undefined : table[name]!;
    if (spec?.kind === 'boolean') {
      flags.set(name!, { raw: negated === undefined ? (inline ?? true) : false, place: `--${flag}` });
      continue;
    }
    if (negated !== undefined)
      throw usage('option-value', `--${flag}: only a switch can be negated`, `give --${negated} VALUE`);
    const value = inline ?? input.argv[++i];
    if (value === undefined)
      throw usage(
        'option-value',
        `--${flag} needs a value`,
        `give --${flag} ${spec === undefined ? 'FILE' : placeholder(spec)}`,
      );
    if (name === undefined) config = value;
    else if (spec!.kind === 'list' || spec!.kind === 'urls') {
      const before = flags.get(name)?.raw as string[] | undefined;
      flags.set(name, { raw: [...(before ?? []), ...value.split(',')], place: `--${flag}` });
    } else flags.set(name, { raw: value, place: `--${flag}` });
  }
  return { flags, config };
}

function unknownOption(place: string, word: string, known: readonly string[], prefix: string): Fault {
  const close = nearest(word, known);
  return usage(
    'unknown-option',
    `${place} is unknown`,
    close === undefined ? 'see --help' : `did you mean ${prefix}${close}?`,
  );
}

function configText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new Fault('config-unreadable', `${file}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`, {
      source: 'operator',
      fix: 'name a file that this user may read',
      exit: EXIT.usage,
      cause: error,
    });
  }
}
