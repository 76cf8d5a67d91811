import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeFolder } from './folder.ts';

test('makes a folder with its parents, and is content with one that is there', () => {
  const base = mkdtempSync(join(tmpdir(), 'nearcast-folder-'));
  const deep = join(base, 'a', 'b', 'c');
  makeFolder(deep);
  makeFolder(deep);
  expect(statSync(deep).isDirectory()).toBe(true);
  rmSync(base, { recursive: true });
});

test('fails at once where nothing can be made', () => {
  expect(() => makeFolder('/proc/nearcast/cache')).toThrow(/ENOENT|EACCES|EPERM/);
});

test('fails where a parent is a file', () => {
  const base = mkdtempSync(join(tmpdir(), 'nearcast-folder-'));
  writeFileSync(join(base, 'file'), '');
  expect(() => makeFolder(join(base, 'file', 'cache'))).toThrow(/ENOTDIR|EEXIST/);
  rmSync(base, { recursive: true });
});
