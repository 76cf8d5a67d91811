import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { DOCUMENTED, documented } from '../deploy/document.ts';

const HEADINGS = [/^## What it is$/m, /^## How .+ go(es)? through it$/m, /^## Options$/m, /^## Counters and errors$/m];
const PARTS = ['edge-server', 'control-plane', 'origin', 'fill', 'deploy', 'runtime'];

describe('the READMEs', () => {
  it.each(Object.keys(DOCUMENTED))(
    '%s has the options and counters that the code has (write them with: node deploy/document.ts)',
    (file) => {
      const text = readFileSync(new URL(`../${file}`, import.meta.url), 'utf8');
      expect(text).toBe(documented(text, DOCUMENTED[file]!, file));
    },
  );

  it.each(PARTS)('%s/README.md has the four headings', (part) => {
    const text = readFileSync(new URL(`../${part}/README.md`, import.meta.url), 'utf8');
    for (const heading of HEADINGS) expect(text).toMatch(heading);
  });

  it('the main README names every part', () => {
    const text = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
    for (const part of [...PARTS, 'bench']) expect(text).toContain(`${part}/README.md`);
  });
});
