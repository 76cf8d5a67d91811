/**
 * The rules of DESIGN.md "What may import what", as tables and pure functions over source texts: import directions,
 * purity of decision files, no cycles, length of files, names that the project must not hold. Reading the files is
 * left to `structure.test.ts`, which also shows that each rule can fail.
 */
import { dirname, join } from 'node:path/posix';

/** Path from the root of the project, with `/` → text. */
export type Sources = ReadonlyMap<string, string>;

export interface ImportEdge {
  readonly from: string;
  /** Path from the root for our own files, else the package or `node:` module. */
  readonly to: string;
  readonly line: number;
  readonly typeOnly: boolean;
  /** `hash, type Hash`; empty where it is not a list of names. */
  readonly names: readonly string[];
}

/** What the files of a folder may import of ours: the longest key that a path starts with holds. */
export interface FolderRule {
  /** Folders or files, for values and types. */
  readonly values: readonly string[];
  /** For types alone. */
  readonly types: readonly string[];
}

const API = 'control-plane/api.ts';
const FILL_PLANNING = ['placement', 'planner', 'popularity', 'progress', 'rendezvous', 'window'].map(
  (name) => `fill/${name}.ts`,
);
const EDGE_PARTS = ['http', 'cache', 'store', 'upstream', 'serve'].map((name) => `edge-server/${name}/`);

export const MAY_IMPORT: Readonly<Record<string, FolderRule>> = {
  'runtime/': { values: [], types: [] },
  'edge-server/http/': { values: ['runtime/'], types: [] },
  'edge-server/cache/': { values: ['runtime/', 'edge-server/http/'], types: [] },
  'edge-server/store/': { values: ['runtime/'], types: ['edge-server/cache/'] },
  'edge-server/upstream/': { values: ['runtime/', 'edge-server/http/'], types: [] },
  'edge-server/serve/': { values: ['runtime/', 'edge-server/counters.ts', ...EDGE_PARTS], types: [API] },
  'edge-server/': { values: ['runtime/', 'fill/', ...EDGE_PARTS], types: [API] },
  'origin/': { values: ['runtime/'], types: [API] },
  'fill/': { values: ['runtime/'], types: [API] },
  'control-plane/': { values: ['runtime/', 'edge-server/http/', ...FILL_PLANNING], types: [] },
  'deploy/': { values: [''], types: [''] },
  'bench/': { values: ['runtime/', 'edge-server/', 'control-plane/', 'origin/', 'fill/'], types: [] },
  'tests/': { values: [''], types: [''] },
};

/** Files that decide: no clock, timer, randomness or I/O, in them or in anything that they import for its value. */
export const DECISION_FILES: readonly string[] = [
  'edge-server/cache/directives.ts',
  'edge-server/cache/freshness.ts',
  'edge-server/cache/reuse.ts',
  'edge-server/cache/storability.ts',
  'edge-server/cache/freshening.ts',
  'edge-server/cache/key.ts',
  'edge-server/cache/compression.ts',
  'edge-server/service-policy.ts',
  'edge-server/overload.ts',
  'edge-server/http/preconditions.ts',
  'edge-server/http/ranges.ts',
  'edge-server/http/request-rules.ts',
  'edge-server/upstream/ejection.ts',
  'control-plane/health.ts',
  'control-plane/panic.ts',
  'control-plane/prefixes.ts',
  'control-plane/steering.ts',
  ...FILL_PLANNING,
  'fill/receipt.ts',
  'fill/site-peers.ts',
];

export const MOST_LINES = 350;

/** A look at the clock, a timer, randomness. An instant given as an argument (`new Date(millis)`) is none. */
const IMPURE =
  /\b(Date\.now|new Date\(\)|Date\(\)|Math\.random|setTimeout|setInterval|setImmediate|queueMicrotask|performance\.|Temporal\.Now|process\.|crypto\.|fetch\()/;
/** What of Node's modules only computes: equal arguments, equal results. */
const PURE_NAMES: Readonly<Record<string, readonly string[]>> = {
  'node:crypto': ['hash', 'createHash'],
  'node:net': ['isIP', 'isIPv4', 'isIPv6'],
};

/** Written in pieces, so that this file does not hold them. */
const FORBIDDEN_NAMES: readonly { readonly what: string; readonly pattern: RegExp }[] = [
  {
    what: 'a path of the workshop',
    pattern: new RegExp(['\\.\\./share', 'd\\b|/work/share', 'd\\b|\\.libr', 'ary/'].join('')),
  },
  {
    what: "a package registry's host",
    pattern: new RegExp(
      [
        'registr',
        'y\\.[a-z0-9.-]+\\.[a-z]{2,}|npm',
        'js\\.(org|com)|yarn',
        'pkg\\.com|py',
        'pi\\.org|crat',
        'es\\.io|gh',
        'cr\\.io|deb\\.deb',
        'ian\\.org',
      ].join(''),
      'i',
    ),
  },
];

/** Every fault as one line `path:line: what is wrong`; empty when all rules hold. */
export function structureFaults(sources: Sources, decisionFiles: readonly string[] = DECISION_FILES): string[] {
  const code = new Map([...sources].filter(([path]) => path.endsWith('.ts')));
  const edges = [...code].flatMap(([path, text]) => importsOf(path, text));
  return [
    ...directionFaults(edges),
    ...purityFaults(code, edges, decisionFiles),
    ...cycleFaults(edges),
    ...lengthFaults(code),
    ...nameFaults(sources),
  ];
}

/** Import, re-export and dynamic import statements of one file. Biome keeps them at the start of a line. */
export function importsOf(path: string, text: string): ImportEdge[] {
  const edges: ImportEdge[] = [];
  const add = (index: number, target: string, clause: string, type: boolean) => {
    const to = target.startsWith('.') ? join(dirname(path), target) : target;
    const list = /^\s*\{([^}]*)\}\s*$/.exec(clause)?.[1] ?? '';
    const names = list.split(',').flatMap((name) => name.trim() || []);
    const typeOnly = type || (names.length > 0 && names.every((name) => name.startsWith('type ')));
    edges.push({ from: path, to, line: text.slice(0, index).split('\n').length, typeOnly, names });
  };
  for (const match of text.matchAll(/^(?:import|export)\b(\s+type\b)?([^'";]*?)\bfrom\s+'([^']+)'/gms))
    add(match.index, match[3]!, match[2]!, match[1] !== undefined);
  for (const match of text.matchAll(/^import\s+'([^']+)'/gm)) add(match.index, match[1]!, '', false);
  for (const match of text.matchAll(/\bimport\(\s*'([^']+)'/g)) add(match.index, match[1]!, '', false);
  return edges;
}

function directionFaults(edges: readonly ImportEdge[]): string[] {
  const faults: string[] = [];
  for (const { from, to, line, typeOnly } of edges) {
    if (!isOurs(to)) continue;
    const folder = folderOf(from);
    if (folder === undefined) {
      faults.push(`${from}:${line}: its folder has no rule in MAY_IMPORT`);
      continue;
    }
    if (folderOf(to) === folder || isTest(from)) continue;
    const rule = MAY_IMPORT[folder]!;
    const allowed = typeOnly ? [...rule.values, ...rule.types] : rule.values;
    if (!allowed.some((start) => to.startsWith(start)))
      faults.push(`${from}:${line}: ${folder} may not import ${typeOnly ? 'types' : 'values'} of ${to}`);
  }
  for (const { from, to, line } of edges)
    if (to.startsWith('deploy/') && !/^(deploy|tests)\//.test(from))
      faults.push(`${from}:${line}: nothing imports deploy`);
  return [...new Set(faults)];
}

function purityFaults(code: Sources, edges: readonly ImportEdge[], decisionFiles: readonly string[]): string[] {
  const faults: string[] = [];
  const checked = new Set<string>();
  const check = (path: string, decision: string) => {
    if (checked.has(path)) return;
    checked.add(path);
    const text = code.get(path);
    if (text === undefined)
      return void faults.push(`${path}: the decision file is not there (imported by ${decision})`);
    const by = path === decision ? '' : ` (decides nothing itself, but ${decision} does with it)`;
    withoutComments(text)
      .split('\n')
      .forEach((line, i) => {
        const found = IMPURE.exec(line);
        if (found !== null) faults.push(`${path}:${i + 1}: a decision may not use ${found[1]}${by}`);
      });
    for (const { to, line, typeOnly, names } of edges.filter((edge) => edge.from === path)) {
      if (typeOnly) continue;
      if ((to.startsWith('node:') && !isPure(to, names)) || to === 'runtime/clock.ts')
        faults.push(`${path}:${line}: a decision may not import ${to}${by}`);
      else if (isOurs(to)) check(to, decision);
    }
  };
  for (const path of decisionFiles) check(path, path);
  return faults;
}

function isPure(module: string, names: readonly string[]): boolean {
  const pure = PURE_NAMES[module] ?? [];
  return names.length > 0 && names.every((name) => pure.includes(name) || name.startsWith('type '));
}

/** Cycles of value imports: types are gone when the code runs. */
function cycleFaults(edges: readonly ImportEdge[]): string[] {
  const targets = new Map<string, string[]>();
  for (const { from, to, typeOnly } of edges)
    if (!typeOnly && isOurs(to)) targets.set(from, [...(targets.get(from) ?? []), to]);
  const faults: string[] = [];
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]) => {
    const seen = trail.indexOf(path);
    if (seen >= 0) faults.push(`${path}: a cycle of imports: ${[...trail.slice(seen), path].join(' → ')}`);
    if (seen >= 0 || done.has(path)) return;
    for (const to of targets.get(path) ?? []) visit(to, [...trail, path]);
    done.add(path);
  };
  for (const path of targets.keys()) visit(path, []);
  return faults;
}

function lengthFaults(code: Sources): string[] {
  const faults: string[] = [];
  for (const [path, text] of code) {
    const lines = text.replace(/\n$/, '').split('\n').length;
    if (lines > MOST_LINES && !isTest(path)) faults.push(`${path}: ${lines} lines, more than ${MOST_LINES}`);
  }
  return faults;
}

function nameFaults(sources: Sources): string[] {
  const faults: string[] = [];
  for (const [path, text] of sources)
    text.split('\n').forEach((line, i) => {
      for (const { what, pattern } of FORBIDDEN_NAMES)
        if (pattern.test(line)) faults.push(`${path}:${i + 1}: names ${what}: ${pattern.exec(line)![0]}`);
    });
  return faults;
}

function folderOf(path: string): string | undefined {
  return Object.keys(MAY_IMPORT)
    .filter((folder) => path.startsWith(folder))
    .sort((a, b) => b.length - a.length)[0];
}

function isOurs(target: string): boolean {
  return folderOf(target) !== undefined;
}

function isTest(path: string): boolean {
  return path.endsWith('.test.ts');
}

/** Comments blanked, lines kept. A `//` within a string (an URL) follows a colon. */
function withoutComments(text: string): string {
  const blocks = text.replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ' '));
  return blocks.replace(/(^|[^:])\/\/.*$/gm, '$1');
}
