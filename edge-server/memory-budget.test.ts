import { expect, test } from 'vitest';
import { availableBytes, workerBudget } from './memory-budget.ts';

const GiB = 2 ** 30;
const files = (texts: Record<string, string>) => (path: string) => {
  const text = texts[path];
  if (text === undefined) throw new Error('ENOENT');
  return text;
};

test('without control groups the machine has what it has', () => {
  expect(availableBytes(files({}), 8 * GiB)).toBe(8 * GiB);
});

test('the tightest group above the process counts, in both versions; "max" sets none', () => {
  const second = files({
    '/proc/self/cgroup': '0::/system.slice/edge.service\n',
    '/sys/fs/cgroup/system.slice/edge.service/memory.max': 'max\n',
    '/sys/fs/cgroup/system.slice/memory.max': `${2 * GiB}\n`,
  });
  expect(availableBytes(second, 8 * GiB)).toBe(2 * GiB);
  const first = files({
    '/proc/self/cgroup': '5:cpu:/a\n4:memory:/docker/b\n',
    '/sys/fs/cgroup/memory/docker/b/memory.limit_in_bytes': `${GiB}\n`,
    '/sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n',
  });
  expect(availableBytes(first, 8 * GiB)).toBe(GiB);
});

test('each worker has an equal share, and 0 is no budget', () => {
  expect(workerBudget(undefined, 4, () => 8 * GiB)).toBe(2 * GiB);
  expect(workerBudget(GiB, 2, () => 8 * GiB)).toBe(GiB / 2);
  expect(workerBudget(0, 2, () => 8 * GiB)).toBe(0);
});
