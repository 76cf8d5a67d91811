#!/usr/bin/env node
/** The `nearcast` command on any Node from 20 on: installs what it lacks, then runs `command.ts` under Node 26. */
import { join } from 'node:path';
import { complain, ensurePackages, findNode, inForeground, ROOT } from './toolchain.js';

try {
  await ensurePackages({ development: false });
  const command = join(ROOT, 'deploy', 'command.ts');
  process.exit(
    await inForeground(findNode(), ['--disable-warning=ExperimentalWarning', command, ...process.argv.slice(2)]),
  );
} catch (error) {
  complain(error);
}
