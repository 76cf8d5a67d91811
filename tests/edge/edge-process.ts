/** Runs an edge as a process of its own, as `nearcast edge` does; started by `edge.ts` and nobody else. */
import { run } from '../../edge-server/main.ts';

run(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exit(1);
});
