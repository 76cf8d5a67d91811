import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const folder = import.meta.dirname;

test('the README names every file and every fault of the runtime', async () => {
  // The formatter pads the cells of tables.
  const text = (await readFile(join(folder, 'README.md'), 'utf8')).replace(/ {2,}/g, ' ');
  const files = (await readdir(folder)).filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'));
  for (const file of files) {
    expect(text).toContain(`| \`${file}\` |`);
    const source = await readFile(join(folder, file), 'utf8');
    const codes = [...source.matchAll(/(?:new Fault|usage)\(\s*'([a-z-]+)'/g)].map((match) => match[1]!);
    for (const code of codes) expect(text).toContain(`| \`${code}\` |`);
  }
});
