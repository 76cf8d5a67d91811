/** What one box alone may use: its state folder and its ports. Each conflict is one line and exit code 4. */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { EXIT, Fault } from '../runtime/errors.ts';

/** Processes of a killed box need a moment to notice. */
const PORT_MILLIS = 5000;

export interface FolderClaim {
  /** The box before was killed, so that its processes may still be ending. */
  readonly afterKill: boolean;
  release(): Promise<void>;
}

/** Claims the folder. A claim of a process that is gone does not count. */
export async function claimFolder(state: string): Promise<FolderClaim> {
  const file = join(state, 'box.lock');
  const mine = `${process.pid} ${await startTime(process.pid)}\n`;
  for (let afterKill = false; ; afterKill = true) {
    try {
      await writeFile(file, mine, { flag: 'wx' });
      return { afterKill, release: () => rm(file, { force: true }) };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw folderFault(state, error);
    }
    const [pid, since] = (await readFile(file, 'utf8').catch(() => '')).trim().split(' ');
    if (pid !== undefined && pid !== '' && (await startTime(Number(pid))) === since)
      throw new Fault('state-in-use', `${state} belongs to a running box (pid ${pid})`, {
        source: 'operator',
        fix: 'stop it or give another folder with --state',
        exit: EXIT.conflict,
      });
    await rm(file, { force: true });
  }
}

/** Throws the fault that names the first port that is taken; after a kill it waits a little for them. */
export async function claimPorts(ports: readonly number[], afterKill: boolean): Promise<void> {
  const until = performance.now() + (afterKill ? PORT_MILLIS : 0);
  for (const port of ports)
    while (!(await isFree(port))) {
      if (performance.now() > until)
        throw new Fault('port-in-use', `127.0.0.1:${port} is taken by another process`, {
          source: 'operator',
          fix: 'stop it or choose others with --port-base',
          exit: EXIT.conflict,
        });
      await wait(100);
    }
}

/** A fault that names the folder, for one that can't be made or written. */
export function folderFault(state: string, error: unknown): Fault {
  return new Fault('state-unusable', `${state}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`, {
    source: 'operator',
    fix: 'give --state a folder that this user may write',
    exit: EXIT.failed,
    cause: error,
  });
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ port, host: '127.0.0.1', exclusive: true }, resolve);
    });
    return true;
  } catch {
    return false; // EADDRINUSE, or a port that this user may not take: both are said as taken.
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

/** When a process began, so that a reused pid is not taken for the old process; `gone` when it does not run. */
async function startTime(pid: number): Promise<string> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return 'gone';
  }
  const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined); // Only Linux has it.
  // Field 22, counted after the command, which may hold spaces and parentheses (proc(5)).
  return status?.slice(status.lastIndexOf(')') + 2).split(' ')[19] ?? 'runs';
}
