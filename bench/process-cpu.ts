/** CPU time of a process and all its descendants, from /proc; on a busy machine it is steadier than any rate. */
import { readdir, readFile } from 'node:fs/promises';

/** Ticks of user and system time by process id. Its threads are counted, children that ended are not. */
export type CpuSample = ReadonlyMap<number, number>;

/** USER_HZ, which Linux fixes at 100 for what /proc shows. */
const TICKS_PER_SECOND = 100;

/** Samples `root` and its descendants. */
export async function sampleCpu(root: number): Promise<CpuSample> {
  const parents = new Map<number, { parent: number; ticks: number }>();
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const text = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => undefined);
    // A process that ended meanwhile.
    if (text === undefined) continue;
    // The command, in parentheses, may hold spaces.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    parents.set(Number(name), { parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) });
  }
  const sample = new Map<number, number>();
  for (const [pid, { ticks }] of parents) if (descends(pid, root, parents)) sample.set(pid, ticks);
  return sample;
}

function descends(pid: number, root: number, parents: ReadonlyMap<number, { parent: number }>): boolean {
  for (let at: number | undefined = pid; at !== undefined && at > 1; at = parents.get(at)?.parent)
    if (at === root) return true;
  return false;
}

/** Seconds of CPU between two samples, of the processes that lived through both or began between them. */
export function cpuSecondsBetween(before: CpuSample, after: CpuSample): number {
  let ticks = 0;
  for (const [pid, now] of after) ticks += now - (before.get(pid) ?? 0);
  return ticks / TICKS_PER_SECOND;
}
