/** `nearcast config check FILE`: whether a YAML file is a good configuration of a part, or a good topology. */
import { readFile } from 'node:fs/promises';
import { isMap, isScalar, parseDocument } from 'yaml';
import { CONTROL_OPTIONS } from '../control-plane/options.ts';
import { readTopology } from '../control-plane/topology.ts';
import { EDGE_OPTIONS } from '../edge-server/options.ts';
import { ORIGIN_OPTIONS } from '../origin/options.ts';
import { EXIT, Fault } from '../runtime/errors.ts';
import { nearest } from '../runtime/nearest.ts';
import { flagName, type OptionTable, parseOptions } from '../runtime/options.ts';
import { UP_OPTIONS } from './up-options.ts';

const TABLES: Readonly<Record<string, OptionTable>> = {
  edge: EDGE_OPTIONS,
  control: CONTROL_OPTIONS,
  origin: ORIGIN_OPTIONS,
  up: UP_OPTIONS,
};

const HELP = `nearcast config check [--part edge|control|origin|up] FILE

  nearcast config check edge.yaml         the part is told from the keys
  nearcast config check topology.yaml     a file with the key sites is a topology

Exit: 0 good, 2 not good (the line says file, line, key and the nearest right name).
`;

/** Checks one file; answers 0 and says what it is, or throws the fault that names the place. */
export async function run(argv: readonly string[]): Promise<number> {
  if (argv.includes('--help')) {
    process.stdout.write(HELP);
    return EXIT.done;
  }
  const { part, file } = readWords(argv);
  process.stdout.write(`${await check(file, part)}\n`);
  return EXIT.done;
}

/** The sentence about a good file. */
export async function check(file: string, part?: string): Promise<string> {
  const keys = await topKeys(file);
  if (part === undefined && keys.includes('sites')) {
    const sites = await readTopology(file);
    return `${file}: a good topology of ${sites.length} sites: ${sites.map(({ id }) => id).join(', ')}`;
  }
  const name = part ?? likeliest(keys);
  // A file need not hold what the command line gives: only what is in it is judged.
  const table = Object.fromEntries(
    Object.entries(TABLES[name]!).map(([option, spec]) => [option, { ...spec, required: false }]),
  );
  parseOptions(table, { part: name, argv: [], file });
  return `${file}: good for ${name}, ${keys.length} options`;
}

function readWords(argv: readonly string[]): { part: string | undefined; file: string } {
  const words = [...argv];
  const at = words.indexOf('--part');
  const part = at < 0 ? undefined : words.splice(at, 2)[1];
  const parts = Object.keys(TABLES);
  if (at >= 0 && (part === undefined || !parts.includes(part))) {
    const close = nearest(part ?? '', parts);
    throw usage(`--part: '${part ?? ''}' is none of ${parts.join(', ')}`, close && `did you mean ${close}?`);
  }
  const [file, extra] = words;
  if (file === undefined || file.startsWith('--')) throw usage(`'${file ?? ''}' is no file`, undefined);
  if (extra !== undefined) throw usage(`'${extra}' is one file too many`, undefined);
  return { part, file };
}

function usage(message: string, fix: string | undefined): Fault {
  return new Fault('usage', message, {
    source: 'operator',
    fix: fix ?? 'give nearcast config check FILE',
    exit: EXIT.usage,
  });
}

/** Keys at the top; empty when the text is no map, which the real check then says. */
async function topKeys(file: string): Promise<string[]> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    throw new Fault('config-unreadable', `${file}: ${code ?? String(error)}`, {
      source: 'operator',
      fix: 'name a file that is there and that this user may read',
      exit: code === 'ENOENT' ? EXIT.notFound : EXIT.failed,
      cause: error,
    });
  }
  const { contents } = parseDocument(text);
  return isMap(contents) ? contents.items.map(({ key }) => (isScalar(key) ? String(key.value) : '')) : [];
}

/** The part that knows most of the keys. */
function likeliest(keys: readonly string[]): string {
  let best = { name: 'edge', known: -1 };
  for (const [name, table] of Object.entries(TABLES)) {
    const flags = new Set(Object.keys(table).map(flagName));
    const known = keys.filter((key) => flags.has(key)).length;
    if (known > best.known) best = { name, known };
  }
  return best.name;
}
