#!/usr/bin/env node
/** `npm test`, `npm run check`, `npm run bench` and `npm run fuzz` on any Node from 20 on; each installs what it lacks. */
import { join } from 'node:path';
import { ensureDebianPackages } from './debian-packages.js';
import { Complaint, complain, ensurePackages, findNode, inForeground, ROOT } from './toolchain.js';

const PROGRAMS = {
  test: [['node_modules/vitest/vitest.mjs', 'run']],
  check: [
    ['node_modules/typescript/bin/tsc', '-p', '.'],
    ['node_modules/@biomejs/biome/bin/biome', 'check', '.'],
  ],
  bench: [['bench/main.ts']],
  fuzz: [['tests/fuzz/main.ts']],
};

try {
  const [what, ...rest] = process.argv.slice(2);
  const programs = PROGRAMS[what];
  if (programs === undefined)
    throw new Complaint(`error: unknown-task: '${what}'; give ${Object.keys(PROGRAMS).join(', ')}`, 2);
  process.chdir(ROOT);
  await ensurePackages({ development: true });
  if (what === 'test') await ensureDebianPackages('test');
  // Alone, a bench needs nothing installed.
  if (what === 'bench' && rest.some((word) => word.startsWith('--against'))) await ensureDebianPackages('bench');
  let worst = 0;
  for (const [program, ...args] of programs) {
    const code = await inForeground(findNode(), [join(ROOT, program), ...args, ...rest]);
    worst ||= code;
  }
  process.exit(worst);
} catch (error) {
  complain(error);
}
