/** `nearcast config check FILE`: whether a YAML file is a good configuration of a part, or a good topology. */
import { readFile } from 'node:fs/promises';
import { isMap, isScalar, parseDocument } from 'yaml';
import { readTopology } from '../control-plane/topology.ts';
import { sectionProblems } from '../edge-server/configuration.ts';
import { type CertificateFiles, readCertificate } from '../edge-server/http/certificate-file.ts';
import { type ConfigDocument, readConfigText } from '../runtime/config-file.ts';
import { EXIT, Fault } from '../runtime/errors.ts';
import { flagName } from '../runtime/options.ts';
import { CONFIG_PARTS, partOfWords } from './config-parts.ts';

const HELP = `nearcast config check [--part edge|control|origin|up] FILE

  nearcast config check edge.yaml         the part is told from the keys
  nearcast config check topology.yaml     a file with the key sites is a topology

Exit: 0 good, 1 good but a certificate that it names can't be used here, 2 not good, 3 no such file. Each line says
file, line, column, key and the nearest right name.
`;

/** Checks one file and says what it is (0), or what is wrong with it, a line each. */
export async function run(argv: readonly string[]): Promise<number> {
  if (argv.includes('--help')) {
    process.stdout.write(HELP);
    return EXIT.done;
  }
  const { part, words } = partOfWords(argv);
  const [file, extra] = words;
  if (file === undefined || file.startsWith('--')) throw usage(`'${file ?? ''}' is no file`);
  if (extra !== undefined) throw usage(`'${extra}' is one file too many`);
  const { sentence, faults } = await check(file, part);
  for (const fault of faults) process.stderr.write(`${fault.line()}\n`);
  if (faults.length > 0) return Math.max(...faults.map(({ exit }) => exit));
  process.stdout.write(`${sentence}\n`);
  return EXIT.done;
}

/** The sentence about a good file, and everything that is wrong with one that is not. */
export async function check(file: string, part?: string): Promise<{ sentence: string; faults: readonly Fault[] }> {
  const text = await textOf(file);
  const keys = topKeys(text);
  if (part === undefined && keys.includes('sites')) {
    const sites = await readTopology(file);
    return {
      sentence: `${file}: a good topology of ${sites.length} sites: ${sites.map(({ id }) => id).join(', ')}`,
      faults: [],
    };
  }
  const name = part ?? likeliest(keys);
  const { options, sections } = CONFIG_PARTS[name]!;
  // A file need not hold what the command line gives: only what is in it is judged.
  const document = readConfigText(text, file, { ...options, ...sections });
  const faults = [...document.problems];
  if (name === 'edge' && faults.length === 0) faults.push(...sectionProblems(document));
  if (name === 'edge' && faults.length === 0) faults.push(...(await certificateFaults(document)));
  return { sentence: `${file}: good for ${name}, ${keys.length} options`, faults };
}

/** Certificates that an edge on this machine could not use. */
async function certificateFaults({ values, file }: ConfigDocument): Promise<Fault[]> {
  const {
    tls = [],
    services = [],
    tlsCert,
    tlsKey,
  } = values as Partial<{
    tls: CertificateFiles[];
    services: { tls?: CertificateFiles[] }[];
    tlsCert: string;
    tlsKey: string;
  }>;
  const named = tlsCert === undefined || tlsKey === undefined ? [] : [{ certificate: tlsCert, key: tlsKey }];
  const faults: Fault[] = [];
  for (const files of [...named, ...tls, ...services.flatMap((service) => service.tls ?? [])]) {
    const outcome = await readCertificate(files, Date.now());
    if (!outcome.ok)
      faults.push(
        new Fault('certificate', `${file}: ${outcome.detail ?? files.certificate}: ${outcome.reason}`, {
          source: 'operator',
          fix: 'give a PEM certificate chain and its key',
          exit: EXIT.failed,
        }),
      );
  }
  return faults;
}

function usage(message: string): Fault {
  return new Fault('usage', message, { source: 'operator', fix: 'give nearcast config check FILE', exit: EXIT.usage });
}

async function textOf(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    throw new Fault('config-unreadable', `${file}: ${code ?? String(error)}`, {
      source: 'operator',
      fix: 'name a file that is there and that this user may read',
      exit: code === 'ENOENT' ? EXIT.notFound : EXIT.failed,
      cause: error,
    });
  }
}

/** Keys at the top; empty when the text is no map, which the real check then says. */
function topKeys(text: string): string[] {
  const { contents } = parseDocument(text, { logLevel: 'silent' });
  return isMap(contents) ? contents.items.map(({ key }) => (isScalar(key) ? String(key.value) : '')) : [];
}

/** The part that knows most of the keys. */
function likeliest(keys: readonly string[]): string {
  let best = { name: 'edge', known: -1 };
  for (const [name, { options, sections }] of Object.entries(CONFIG_PARTS)) {
    const flags = new Set([...Object.keys(options), ...Object.keys(sections)].map(flagName));
    const known = keys.filter((key) => flags.has(key)).length;
    if (known > best.known) best = { name, known };
  }
  return best.name;
}
