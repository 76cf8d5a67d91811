/**
 * Options as one table: default, unit, bounds, a sentence. The parser, `--help`, the YAML file, the environment
 * and the READMEs all come from it. Parsed once, frozen; an unknown key is an error that names the nearest one.
 * Precedence: command line, then `NEARCAST_<PART>_<OPTION>`, then the file given with `--config`, then the default.
 */
import { readFileSync } from 'node:fs';
import { isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import { EXIT, Fault } from './errors.ts';
import { nearest } from './nearest.ts';
import { parseAddress, parseBytes, parseMillis } from './units.ts';

export interface ListenAddress {
  host: string;
  /** 0 lets the system choose. */
  port: number;
}

interface Kinds {
  string: string;
  integer: number;
  number: number;
  /** Bytes; written `256MiB`, `10GB` or a plain number. */
  bytes: number;
  /** Milliseconds; written `500ms`, `10s`, `5m`, `12h`, `1d` or a plain number of milliseconds. */
  duration: number;
  boolean: boolean;
  /** `host:port`. */
  address: ListenAddress;
  /** An http or https URL without a trailing slash. */
  url: string;
  path: string;
  /** Strings; on the command line repeated or comma-separated. */
  list: readonly string[];
  /** http or https URLs, as `list`. */
  urls: readonly string[];
}
export type OptionKind = keyof Kinds;

export interface OptionSpec<K extends OptionKind = OptionKind> {
  kind: K;
  /** `undefined` makes the option absent unless given; with `required` it must be given. */
  default: Kinds[K] | undefined;
  required?: boolean;
  min?: number;
  max?: number;
  /** Closed set of values of a `string`. */
  values?: readonly string[];
  /** Placeholder in `--help`, e.g. `DIR`. */
  placeholder?: string;
  /** One sentence: what it does and, for a limit, where the number comes from. */
  help: string;
}

/** Keys are camelCase; `cacheDir` is `--cache-dir`, `NEARCAST_EDGE_CACHE_DIR` and `cache-dir:` in YAML. */
export type OptionTable = Readonly<Record<string, OptionSpec>>;

export type OptionsOf<T extends OptionTable> = {
  readonly [N in keyof T]: T[N]['default'] extends undefined
    ? T[N] extends { required: true }
      ? Kinds[T[N]['kind']]
      : Kinds[T[N]['kind']] | undefined
    : Kinds[T[N]['kind']];
};

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
  const given = new Map<string, { raw: unknown; place: string }>();
  const { flags, config } = readArgv(table, input);
  const file = config ?? input.file;
  if (file !== undefined) for (const [name, entry] of readYaml(table, file)) given.set(name, entry);
  for (const name of Object.keys(table)) {
    const variable = variableName(input.part, name);
    const raw = input.env?.[variable];
    if (raw !== undefined) given.set(name, { raw, place: variable });
  }
  for (const [name, entry] of flags) given.set(name, entry);

  const parsed: Record<string, unknown> = {};
  for (const [name, spec] of Object.entries(table)) {
    const entry = given.get(name);
    if (entry !== undefined) parsed[name] = convert(spec, entry.raw, entry.place);
    else if (spec.default !== undefined) parsed[name] = spec.default;
    else if (spec.required === true)
      throw usage('option-missing', `--${flagName(name)} is required`, `give --${flagName(name)} ${placeholder(spec)}`);
    else parsed[name] = undefined;
  }
  return Object.freeze(parsed) as OptionsOf<T>;
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

export function flagName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** The command-line form of parsed options, for starting a child process with them. */
export function toArgv(values: Readonly<Record<string, unknown>>): string[] {
  const argv: string[] = [];
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined) continue;
    const flag = `--${flagName(name)}`;
    if (value === true) argv.push(flag);
    else if (value === false) argv.push(`--no-${flagName(name)}`);
    else if (Array.isArray(value)) for (const one of value) argv.push(flag, String(one));
    else if (typeof value === 'object') argv.push(flag, addressText(value as ListenAddress));
    else argv.push(flag, String(value));
  }
  return argv;
}

export function addressText(address: ListenAddress): string {
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

function variableName(part: string, name: string): string {
  return `NEARCAST_${part}_${flagName(name)}`.toUpperCase().replaceAll('-', '_');
}

function placeholder(spec: OptionSpec): string {
  if (spec.placeholder !== undefined) return spec.placeholder;
  if (spec.values !== undefined) return spec.values.join('|');
  const byKind: Partial<Record<OptionKind, string>> = {
    integer: 'N',
    number: 'N',
    bytes: 'SIZE',
    duration: 'TIME',
    address: 'HOST:PORT',
    url: 'URL',
    urls: 'URL',
    path: 'PATH',
  };
  return byKind[spec.kind] ?? 'TEXT';
}

function defaultText(spec: OptionSpec): string {
  if (spec.default === undefined) return 'none';
  if (spec.kind === 'bytes') return bytesText(spec.default as number);
  if (spec.kind === 'duration') return millisText(spec.default as number);
  if (spec.kind === 'address') return addressText(spec.default as ListenAddress);
  if (Array.isArray(spec.default)) return spec.default.length === 0 ? 'none' : spec.default.join(',');
  return spec.default === '' ? 'none' : String(spec.default);
}

function bytesText(bytes: number): string {
  for (const [unit, size] of [
    ['GiB', 2 ** 30],
    ['MiB', 2 ** 20],
    ['KiB', 2 ** 10],
  ] as const)
    if (bytes >= size && bytes % size === 0) return `${bytes / size}${unit}`;
  return String(bytes);
}

function millisText(millis: number): string {
  for (const [unit, size] of [
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1000],
  ] as const)
    if (millis >= size && millis % size === 0) return `${millis / size}${unit}`;
  return `${millis}ms`;
}

function usage(code: string, message: string, fix: string): Fault {
  return new Fault(code, message, { source: 'operator', fix, exit: EXIT.usage });
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

function* readYaml(table: OptionTable, file: string): Generator<[string, { raw: unknown; place: string }]> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new Fault('config-unreadable', `${file}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`, {
      source: 'operator',
      fix: 'name a file that this user may read',
      exit: EXIT.usage,
      cause: error,
    });
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const place = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  const broken = document.errors[0];
  if (broken !== undefined)
    throw usage('config-syntax', `${place(broken.pos[0])}: ${broken.message.split('\n')[0]}`, 'correct the YAML there');
  if (document.contents === null) return;
  if (!isMap(document.contents))
    throw usage('config-syntax', `${file}: the top must be a map of options`, 'write `option: value` lines');
  const byFlag = new Map(Object.keys(table).map((name) => [flagName(name), name]));
  for (const pair of document.contents.items) {
    const key = isScalar(pair.key) ? String(pair.key.value) : '';
    const at = place((pair.key as { range?: [number, number, number] }).range?.[0] ?? 0);
    const name = byFlag.get(key);
    if (name === undefined) throw unknownOption(`${at}: key '${key}'`, key, [...byFlag.keys()], '');
    const value = pair.value;
    const raw = isScalar(value) ? value.value : isSeq(value) ? value.toJSON() : undefined;
    if (raw === undefined)
      throw usage('option-value', `${at}: '${key}' must be a single value or a list`, `see --help for --${key}`);
    yield [name, { raw, place: `${at}: ${key}` }];
  }
}

function convert(spec: OptionSpec, raw: unknown, place: string): unknown {
  const bad = (why: string): Fault =>
    usage('option-value', `${place}: ${why}`, `give ${placeholder(spec)}, e.g. ${example(spec)}`);
  const text = Array.isArray(raw) ? raw.map(String).join(',') : String(raw);
  switch (spec.kind) {
    case 'boolean':
      if (raw === true || text === 'true' || text === '1' || text === 'yes') return true;
      if (raw === false || text === 'false' || text === '0' || text === 'no') return false;
      throw bad(`'${text}' is neither true nor false`);
    case 'integer':
    case 'number': {
      const value = Number(text);
      if (text.trim() === '' || !Number.isFinite(value) || (spec.kind === 'integer' && !Number.isSafeInteger(value)))
        throw bad(`'${text}' is not ${spec.kind === 'integer' ? 'a whole number' : 'a number'}`);
      return bounded(spec, value, bad);
    }
    case 'bytes':
    case 'duration': {
      const value = spec.kind === 'bytes' ? parseBytes(text) : parseMillis(text);
      if (value === undefined) throw bad(`'${text}' is not a ${spec.kind === 'bytes' ? 'size' : 'time'}`);
      return bounded(spec, value, bad);
    }
    case 'address': {
      const value = parseAddress(text);
      if (value === undefined) throw bad(`'${text}' is not host:port`);
      return value;
    }
    case 'url':
      return url(text, bad);
    case 'urls':
      return Object.freeze(
        text
          .split(',')
          .filter((one) => one !== '')
          .map((one) => url(one, bad)),
      );
    case 'list':
      return Object.freeze(text.split(',').filter((one) => one !== ''));
    case 'string':
    case 'path':
      if (spec.values !== undefined && !spec.values.includes(text))
        throw bad(`'${text}' is none of ${spec.values.join(', ')}`);
      return text;
    default:
      throw new Error(`unreachable: ${String(spec.kind)}`);
  }
}

function bounded(spec: OptionSpec, value: number, bad: (why: string) => Fault): number {
  if (spec.min !== undefined && value < spec.min) throw bad(`${value} is below the least, ${spec.min}`);
  if (spec.max !== undefined && value > spec.max) throw bad(`${value} is above the most, ${spec.max}`);
  return value;
}

function url(text: string, bad: (why: string) => Fault): string {
  const parsed = URL.parse(text);
  if (parsed === null || (parsed.protocol !== 'http:' && parsed.protocol !== 'https:') || parsed.hostname === '')
    throw bad(`'${text}' is not an http or https URL`);
  return text.replace(/\/+$/, '');
}

function example(spec: OptionSpec): string {
  const fallback = defaultText(spec);
  if (fallback !== 'none') return fallback;
  const byKind: Partial<Record<OptionKind, string>> = {
    integer: '1',
    number: '1',
    bytes: '256MiB',
    duration: '10s',
    address: '127.0.0.1:8080',
    url: 'http://127.0.0.1:8000',
    urls: 'http://127.0.0.1:8000',
    path: './folder',
  };
  return byKind[spec.kind] ?? spec.values?.[0] ?? 'text';
}
