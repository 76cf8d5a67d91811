/**
 * `node tests/fuzz/main.ts [--seed N] [--requests N] [--only CONNECTION]`: the fuzz run by hand, or one of its
 * connections again. Prints the seed first, what was found, and
 * exits 1 when anything was.
 */
import { parseArgs } from 'node:util';
import { fuzz } from './fuzz.ts';

const { values } = parseArgs({
  options: { seed: { type: 'string' }, requests: { type: 'string' }, only: { type: 'string' } },
});
const seed = Number(values.seed ?? Date.now() % 0x7fff_ffff);
const requests = Number(values.requests ?? 1_000_000);
if (!Number.isSafeInteger(seed) || !Number.isSafeInteger(requests) || requests < 1) {
  process.stderr.write('error: option-value: --seed and --requests are whole numbers\n');
  process.exit(2);
}
process.stdout.write(`seed ${seed}, ${requests} requests\n`);
const { complaints, ...result } = await fuzz({
  seed,
  requests,
  only: values.only === undefined ? undefined : Number(values.only),
  progress: (line) => process.stdout.write(`${line}\n`),
});
process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`);
for (const complaint of complaints) process.stdout.write(`\n${complaint}\n`);
process.exit(complaints.length === 0 ? 0 : 1);
