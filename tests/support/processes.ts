/** Finds what a test began, however deep: every descendant inherits a marker in its environment (Linux). */
import { randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';

const VARIABLE = 'NEARCAST_TEST_MARK';

/** Environment for a process whose descendants are to be found again. */
export function marked(): { mark: string; env: NodeJS.ProcessEnv } {
  const mark = randomUUID();
  return { mark, env: { ...process.env, [VARIABLE]: mark } };
}

/** Living processes with the mark: pid and command line. */
export async function markedProcesses(mark: string): Promise<{ pid: number; command: string }[]> {
  const found: { pid: number; command: string }[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      if (!(await readFile(`/proc/${name}/environ`, 'latin1')).includes(`${VARIABLE}=${mark}`)) continue;
      const command = (await readFile(`/proc/${name}/cmdline`, 'utf8')).replaceAll('\0', ' ');
      if (command !== '') found.push({ pid: Number(name), command }); // A zombie has none.
    } catch {
      // It ended while we looked, or is another user's: not ours either way.
    }
  }
  return found;
}

/** Kills what is left with the mark. */
export async function killMarked(mark: string): Promise<void> {
  for (const { pid } of await markedProcesses(mark))
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // Ended meanwhile.
    }
}
