/** The commands as one table; each loads only its own part. */

export interface Command {
  readonly summary: string;
  readonly example: string;
  /** Runs it with what follows its words. A number is an exit code and ends the process; void leaves it running. */
  // biome-ignore lint/suspicious/noConfusingVoidType: a part that serves resolves with nothing.
  run(argv: readonly string[]): Promise<number | void>;
}

/** Words → command; a longer match wins. */
export const COMMANDS: Readonly<Record<string, Command>> = {
  up: {
    summary: 'a whole CDN on loopback: S3, origin, control plane, edges, a stand-in for the standby CDN',
    example: 'nearcast up --content ./films --port-base 19000',
    run: async (argv) => (await import('./up.ts')).run(argv),
  },
  edge: {
    summary: 'one cache server; alone it is a caching reverse proxy',
    example: 'nearcast edge --listen 127.0.0.1:8080 --upstream http://127.0.0.1:8000 --cache-dir ./cache',
    run: async (argv) => (await import('../edge-server/main.ts')).run(argv),
  },
  control: {
    summary: 'the control plane: steering, health, failover, purges, fills, console',
    example: 'nearcast control --origin http://127.0.0.1:8100 --standby https://standby.example.org',
    run: async (argv) => (await import('../control-plane/main.ts')).run(argv),
  },
  origin: {
    summary: 'the gateway over S3, the only holder of its credentials',
    example: 'nearcast origin --s3-endpoint http://127.0.0.1:9000 --s3-bucket films',
    run: async (argv) => (await import('../origin/main.ts')).run(argv),
  },
  fill: {
    summary: 'run: puts content on the edges ahead of requests; status: how far they are',
    example: 'nearcast fill run --now',
    run: async (argv) => (await import('../fill/command.ts')).run(argv),
  },
  cache: {
    summary: 'what an edge holds: ls, show URL, verify, purge URL, stat',
    example: 'nearcast cache ls --cache-dir ./cache',
    run: async (argv) => (await import('../edge-server/cache-command.ts')).run(argv),
  },
  'config check': {
    summary: 'says whether a configuration or topology file is good, else file, line, key and the nearest name',
    example: 'nearcast config check edge.yaml',
    run: async (argv) => (await import('./config-check.ts')).run(argv),
  },
  'config show': {
    summary: 'the configuration that a part would run with, and where each value comes from',
    example: 'nearcast config show --config edge.yaml',
    run: async (argv) => (await import('./config-show.ts')).show(argv),
  },
  'config schema': {
    summary: 'the JSON schema of a part\u2019s configuration file, for editors',
    example: 'nearcast config schema --part edge',
    run: async (argv) => (await import('./config-show.ts')).schema(argv),
  },
  s3: {
    summary: 'the S3 server of the box',
    example: 'nearcast s3 --dir ./objects --access-key-file ./key --secret-key-file ./secret',
    run: async (argv) => (await import('./s3/main.ts')).run(argv),
  },
};

export type Choice =
  | { kind: 'run'; command: Command; argv: readonly string[] }
  | { kind: 'help' }
  | { kind: 'version' }
  | { kind: 'unknown'; word: string };

/** What a command line asks for. Pure. */
export function choice(argv: readonly string[], commands: Readonly<Record<string, Command>> = COMMANDS): Choice {
  const [first, second] = argv;
  if (first === undefined || first === '--help' || first === '-h' || first === 'help') return { kind: 'help' };
  if (first === '--version' || first === '-V') return { kind: 'version' };
  const two = `${first} ${second ?? ''}`;
  if (Object.hasOwn(commands, two)) return { kind: 'run', command: commands[two]!, argv: argv.slice(2) };
  if (Object.hasOwn(commands, first)) return { kind: 'run', command: commands[first]!, argv: argv.slice(1) };
  const startsOne = Object.keys(commands).some((words) => words.startsWith(`${first} `));
  return { kind: 'unknown', word: startsOne ? two.trim() : first };
}

/** The text of `nearcast --help`. */
export function overview(commands: Readonly<Record<string, Command>> = COMMANDS): string {
  const width = Math.max(...Object.keys(commands).map((words) => words.length));
  const rows = Object.entries(commands).map(([words, { summary }]) => `  ${words.padEnd(width)}  ${summary}`);
  const examples = Object.values(commands).map(({ example }) => `  ${example}`);
  return [
    'nearcast: a content delivery network that you place inside ISPs',
    '',
    'usage: nearcast COMMAND [options]     nearcast COMMAND --help     nearcast --version',
    '',
    ...rows,
    '',
    'examples:',
    ...examples,
    '',
    'exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 conflict, 75 try again later',
    '',
  ].join('\n');
}
