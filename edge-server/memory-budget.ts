/**
 * What memory the processes of this server may use when nobody said: what the operating system has, or the tightest
 * control group above this process where that is less. Read once at the start.
 */
import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { dirname, join } from 'node:path/posix';

const GROUPS = '/sys/fs/cgroup';

/** Bytes for one worker of `count`: the option's share, or an equal share of what there is. 0 switches the rules off. */
export function workerBudget(limitBytes: number | undefined, count: number, available = availableBytes): number {
  return Math.floor((limitBytes ?? available()) / count);
}

/** `read` gives the text of a file, or throws. */
export function availableBytes(read: (path: string) => string = readText, total = totalmem()): number {
  return Math.min(total, ...groupLimits(read));
}

function groupLimits(read: (path: string) => string): number[] {
  const limits: number[] = [];
  const add = (path: string) => {
    const limit = Number.parseInt(attempt(read, path) ?? '', 10);
    if (limit > 0) limits.push(limit);
  };
  // `0::/path` for control groups v2, `n:memory:/path` for v1. A limit of any group above holds too.
  for (const line of (attempt(read, '/proc/self/cgroup') ?? '').split('\n')) {
    const [number, controllers = '', path = ''] = line.split(':', 3);
    const second = number === '0' && controllers === '';
    if (!path.startsWith('/') || (!second && !controllers.split(',').includes('memory'))) continue;
    for (let at = path; ; at = dirname(at)) {
      add(second ? join(GROUPS, at, 'memory.max') : join(GROUPS, 'memory', at, 'memory.limit_in_bytes'));
      if (at === '/') break;
    }
  }
  return limits;
}

/** A group that is not there, or not to be read, sets no limit that we could know of. */
function attempt(read: (path: string) => string, path: string): string | undefined {
  try {
    return read(path);
  } catch {
    return undefined;
  }
}

function readText(path: string): string {
  return readFileSync(path, 'utf8');
}
