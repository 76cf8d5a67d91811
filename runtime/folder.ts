/**
 * Makes folders that an operator named. Not by Node's recursive mkdir, which goes round forever below a folder that
 * nobody can make anything in, such as /proc (Node 26.10).
 */
import { mkdirSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/** Makes a folder and its missing parents; one that is there is left alone. Synchronous: for the start of a process. Throws the system's error. */
export function makeFolder(path: string): void {
  const missing: string[] = [];
  for (let at = resolve(path); !isFolder(at); at = dirname(at)) missing.push(at);
  for (const folder of missing.reverse()) {
    try {
      mkdirSync(folder);
    } catch (error) {
      // Another process made it meanwhile.
      if (!isFolder(folder)) throw error;
    }
  }
}

function isFolder(path: string): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat?.isDirectory() === true || path === dirname(path);
}
