import { readdir, readFile } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { describe, expect, test } from 'vitest';
import { importsOf, MOST_LINES, structureFaults } from './structure-rules.ts';

const ROOT = join(import.meta.dirname, '..');
/** Not ours, not text, or made by a run. */
const SKIPPED = new Set(['node_modules', '.git', '.nearcast', 'coverage', 'content', 'results']);
const TEXT = /\.(ts|js|mjs|cjs|json|ya?ml|md|html|css|sh|service|txt)$|^\.[a-z]+$|^run$|^LICENSE$/;

async function readAll(folder: string, sources = new Map<string, string>()): Promise<Map<string, string>> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (SKIPPED.has(entry.name)) continue;
    if (entry.isDirectory()) await readAll(path, sources);
    else if (entry.isFile() && TEXT.test(entry.name))
      sources.set(relative(ROOT, path).replaceAll(sep, '/'), await readFile(path, 'utf8'));
  }
  return sources;
}

test('the sources keep the import directions, the purity of decisions, and the other rules of the structure', async () => {
  const sources = await readAll(ROOT);
  expect(sources.size).toBeGreaterThan(50);
  expect(structureFaults(sources)).toEqual([]);
});

describe('each rule can fail', () => {
  const faultsOf = (files: Record<string, string>, decisions: readonly string[] = []) =>
    structureFaults(new Map(Object.entries(files)), decisions);

  test.each([
    [
      'runtime imports a part',
      'runtime/log.ts',
      "import { a } from '../fill/window.ts';",
      'runtime/log.ts:1: runtime/ may not import values of fill/window.ts',
    ],
    [
      'http imports cache',
      'edge-server/http/a.ts',
      "import type { A } from '../cache/b.ts';",
      'may not import types of edge-server/cache/b.ts',
    ],
    [
      'the store uses values of the cache',
      'edge-server/store/a.ts',
      "\nimport { a } from '../cache/b.ts';",
      'edge-server/store/a.ts:2: ',
    ],
    [
      'upstream imports the store',
      'edge-server/upstream/a.ts',
      "import {\n  a,\n  type B,\n} from '../store/b.ts';",
      'may not import values of',
    ],
    [
      'the edge uses values of the control plane',
      'edge-server/a.ts',
      "import { a } from '../control-plane/api.ts';",
      'may not import values of',
    ],
    [
      'the handler takes the agent',
      'edge-server/serve/a.ts',
      "import { a } from '../../fill/agent.ts';",
      'may not import values of',
    ],
    [
      'the origin imports the edge',
      'origin/a.ts',
      "import { a } from '../edge-server/http/fields.ts';",
      'may not import values of',
    ],
    [
      'fill imports the edge',
      'fill/a.ts',
      "export { a } from '../edge-server/store/b.ts';",
      'may not import values of',
    ],
    [
      'the control plane runs the agent',
      'control-plane/a.ts',
      "const a = await import('../fill/agent.ts');",
      'may not import values of',
    ],
    ['somebody imports deploy', 'bench/a.ts', "import '../deploy/box.ts';", 'nothing imports deploy'],
    ['a workshop path', 'fill/a.ts', `// see ${'../sha'}red/design`, 'names a path of the workshop'],
    ['a registry', 'docs/a.md', `npm --registry https://${'registry.'}example.org`, "names a package registry's host"],
    ['a long file', 'fill/a.ts', 'a;\n'.repeat(MOST_LINES + 1), `${MOST_LINES + 1} lines`],
  ])('%s', (_, path, text, fault) => {
    const faults = faultsOf({ [path]: text });
    expect(faults).not.toEqual([]);
    expect(faults.join('\n')).toContain(fault);
  });

  test.each([
    ['Date.now()', 'const at = Date.now();'],
    ['Math.random()', 'const draw = Math.random();'],
    ['setTimeout', 'setTimeout(() => {}, 1);'],
    ['performance.now()', 'const at = performance.now();'],
    ['a new date', 'const at = new Date();'],
    ['a module of Node', "import { readFileSync } from 'node:fs';"],
    ['randomness of a module', "import { hash, randomBytes } from 'node:crypto';"],
    ['the clock', "import { systemClock } from '../runtime/clock.ts';"],
  ])('a decision with %s', (_, text) => {
    expect(faultsOf({ 'fill/a.ts': text, 'runtime/clock.ts': '' }, ['fill/a.ts'])).toHaveLength(1);
    expect(faultsOf({ 'fill/a.ts': text, 'runtime/clock.ts': '' }, [])).toEqual([]);
  });

  test('a decision that is impure by what it imports, and one that is not there', () => {
    const files = { 'fill/a.ts': "import { b } from './b.ts';", 'fill/b.ts': '\n\nexport const b = () => Date.now();' };
    expect(faultsOf(files, ['fill/a.ts'])).toEqual([
      'fill/b.ts:3: a decision may not use Date.now (decides nothing itself, but fill/a.ts does with it)',
    ]);
    expect(faultsOf({}, ['fill/gone.ts'])).toHaveLength(1);
  });

  test('a cycle of values, but not one of types', () => {
    const cycle = (type: string) => ({
      'fill/a.ts': "import { b } from './b.ts';",
      'fill/b.ts': "import { c } from './c.ts';",
      'fill/c.ts': `import ${type}{ a } from './a.ts';`,
    });
    expect(faultsOf(cycle(''))).toEqual([
      'fill/a.ts: a cycle of imports: fill/a.ts → fill/b.ts → fill/c.ts → fill/a.ts',
    ]);
    expect(faultsOf(cycle('type '))).toEqual([]);
  });

  test('and none fails where all is well', () => {
    const files = {
      'runtime/log.ts': "import { pino } from 'pino';\n// setTimeout in a comment, https://example.org\n",
      'edge-server/store/a.ts':
        "import type { A } from '../cache/b.ts';\nimport { type C, type D } from '../cache/b.ts';\n",
      'edge-server/a.ts':
        "import { FillAgent } from '../fill/agent.ts';\nimport type { Heartbeat } from '../control-plane/api.ts';\n",
      'control-plane/a.ts': "import { planManifests } from '../fill/planner.ts';\n",
      'control-plane/steering.ts':
        "import { hash } from 'node:crypto';\n/* Date.now() is not used:\n setTimeout neither */\nconst at = new Date(millis);\n",
      'deploy/a.ts': "import '../origin/main.ts';\n",
    };
    expect(faultsOf(files, ['control-plane/steering.ts'])).toEqual([]);
  });
});

test('imports are found in each of their forms, with their line', () => {
  const text = [
    "import a from 'pino';",
    "import type { B } from './b.ts';",
    'import {',
    '  c,',
    '  type D,',
    "} from '../runtime/c.ts';",
    "export * from './e.ts';",
    "const f = await import('./f.ts');",
    "import './g.ts';",
    "// import { no } from './no.ts';",
    "const text = ` import { no } from './no.ts'`;",
  ].join('\n');
  expect(importsOf('fill/x.ts', text).map(({ to, line, typeOnly }) => `${line} ${to} ${typeOnly}`)).toEqual([
    '1 pino false',
    '2 fill/b.ts true',
    '3 runtime/c.ts false',
    '7 fill/e.ts false',
    '9 fill/g.ts false',
    '8 fill/f.ts false',
  ]);
});
