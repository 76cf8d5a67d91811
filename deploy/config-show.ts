/**
 * `nearcast config show`: the configuration that a part would run with, and where each value comes from; and
 * `nearcast config schema`: the JSON schema of its file. Passwords in URLs are hidden; other secrets are in files.
 */
import { readConfiguration } from '../edge-server/configuration.ts';
import { EXIT } from '../runtime/errors.ts';
import { addressText, flagName, type ListenAddress, readOptions } from '../runtime/options.ts';
import { CONFIG_PARTS, partOfWords, schemaText } from './config-parts.ts';

const SHOW_HELP = `nearcast config show [--part edge|control|origin|up] [--json] [options of the part]

  nearcast config show --config edge.yaml                   what an edge would run with, and why
  nearcast config show --part origin --config origin.yaml --json

Each value is followed by where it comes from: a flag, a variable NEARCAST_<PART>_<OPTION>, file:line:column, or default.
`;
const SCHEMA_HELP = `nearcast config schema [--part edge|control|origin|up]

  nearcast config schema > edge.schema.json
`;

/** Prints; 0, or the fault of a configuration that is not good. */
export async function show(argv: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<number> {
  if (argv.includes('--help')) {
    process.stdout.write(SHOW_HELP);
    return EXIT.done;
  }
  const json = argv.includes('--json');
  const { part = 'edge', words } = partOfWords(argv.filter((word) => word !== '--json'));
  const shown = effective(part, words, env);
  process.stdout.write(json ? `${JSON.stringify(shown, undefined, 2)}\n` : text(shown));
  return EXIT.done;
}

export async function schema(argv: readonly string[]): Promise<number> {
  if (argv.includes('--help')) process.stdout.write(SCHEMA_HELP);
  else process.stdout.write(schemaText(partOfWords(argv).part ?? 'edge'));
  return EXIT.done;
}

export interface Effective {
  readonly part: string;
  readonly options: Readonly<Record<string, { readonly value: unknown; readonly from: string }>>;
  readonly services: readonly unknown[];
  readonly certificates: readonly unknown[];
}

/** What a part would run with. */
export function effective(part: string, argv: readonly string[], env: NodeJS.ProcessEnv): Effective {
  const { options: table } = CONFIG_PARTS[part]!;
  const read =
    part === 'edge'
      ? readConfiguration(argv, env)
      : { ...readOptions(table, { part, argv, env }), services: [], certificates: [] };
  const values: Readonly<Record<string, unknown>> = read.options;
  const sources: Readonly<Record<string, string>> = read.sources;
  const options = Object.fromEntries(
    Object.keys(table).map((name) => [
      flagName(name),
      { value: shownValue(values[name]), from: sources[name] ?? 'default' },
    ]),
  );
  return { part, options, services: shownSection(read.services), certificates: shownSection(read.certificates) };
}

function shownValue(value: unknown): unknown {
  if (typeof value === 'string') return withoutPassword(value);
  if (Array.isArray(value)) return value.map(shownValue);
  if (typeof value === 'object' && value !== null && 'host' in value && 'port' in value)
    return addressText(value as ListenAddress);
  return value ?? null;
}

/** The same names as in the file. */
function shownSection(value: readonly unknown[]): unknown[] {
  const shown = (one: unknown): unknown => {
    if (Array.isArray(one)) return one.map(shown);
    if (typeof one !== 'object' || one === null) return shownValue(one);
    return Object.fromEntries(Object.entries(one).map(([name, inner]) => [flagName(name), shown(inner)]));
  };
  return value.map(shown);
}

function withoutPassword(text: string): string {
  return text.replace(/^(https?:\/\/)[^/?#]*@/i, '$1***@');
}

function text({ options, services, certificates }: Effective): string {
  const rows = Object.entries(options).map(([name, { value, from }]) => ({
    line: `${name}: ${yamlText(value)}`,
    from,
  }));
  const width = Math.min(60, Math.max(...rows.map(({ line }) => line.length)));
  const lines = rows.map(({ line, from }) => `${line.padEnd(width)}  # ${from}`);
  for (const [name, members] of Object.entries({ services, tls: certificates })) {
    if (members.length === 0) continue;
    lines.push(`${name}:`, ...members.map((member) => `  - ${JSON.stringify(member)}`));
  }
  return `${lines.join('\n')}\n`;
}

function yamlText(value: unknown): string {
  return Array.isArray(value) || typeof value === 'string' ? JSON.stringify(value) : String(value);
}
