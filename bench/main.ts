/**
 * `npm run bench -- <what>`: measurements of this product on this machine. Each prints one table on stdout and, with
 * `--json`, the same as JSON. Load goes to loopback only, bounded in connections and time.
 */
import { EXIT, Fault } from '../runtime/errors.ts';
import { nearest } from '../runtime/nearest.ts';

const BENCHES: Readonly<Record<string, { help: string; run: (argv: readonly string[]) => Promise<void> }>> = {
  edge: {
    help: 'one edge server, alone or beside nginx, Varnish and Traffic Server: hits, ranges, TLS, HTTP/2, misses, latency',
    run: async (argv) => (await import('./edge.ts')).run(argv),
  },
  idle: {
    help: 'memory that ten thousand idle connections cost, each over cleartext and TLS',
    run: async (argv) => (await import('./idle.ts')).run(argv),
  },
};

async function main(argv: readonly string[]): Promise<void> {
  const [name, ...rest] = argv;
  if (name === undefined || name === '--help') {
    const rows = Object.entries(BENCHES).map(([bench, { help }]) => `  ${bench}  ${help}`);
    process.stdout.write(`usage: npm run bench -- WHAT [options]\n\n${rows.join('\n')}\n`);
    return;
  }
  const bench = BENCHES[name];
  if (bench === undefined) {
    const close = nearest(name, Object.keys(BENCHES));
    throw new Fault('unknown-bench', `'${name}' is not measured here`, {
      source: 'operator',
      fix: close === undefined ? `give one of ${Object.keys(BENCHES).join(', ')}` : `did you mean ${close}?`,
      exit: EXIT.usage,
    });
  }
  await bench.run(rest);
}

main(process.argv.slice(2)).then(
  () => process.exit(EXIT.done),
  (error: unknown) => {
    process.stderr.write(
      error instanceof Fault ? `${error.line()}\n` : `${error instanceof Error ? error.stack : String(error)}\n`,
    );
    process.exit(error instanceof Fault ? error.exit : EXIT.failed);
  },
);
