/**
 * The `nearcast` command: finds the command in the table, runs it, and turns what it throws into one line and an exit
 * code. Started by `nearcast.js`, whose end (also by kill -9) closes the IPC channel and ends this process.
 */
import { endWithParent } from '../runtime/closing.ts';
import { EXIT, Fault } from '../runtime/errors.ts';
import { nearest } from '../runtime/nearest.ts';
import { version } from '../runtime/version.ts';
import { COMMANDS, choice, overview } from './commands.ts';

/** Parts that end with their parent in an order of their own. */
const OWN_ENDING = new Set(['edge', 'up']);

async function main(argv: readonly string[]): Promise<void> {
  const chosen = choice(argv);
  switch (chosen.kind) {
    case 'help':
      return finish(overview(), EXIT.done);
    case 'version':
      return finish(`nearcast ${version}\n`, EXIT.done);
    case 'unknown':
      throw unknownCommand(chosen.word);
    case 'run': {
      if (!OWN_ENDING.has(argv[0]!)) endWithParent(() => process.exit(EXIT.failed));
      const code = await chosen.command.run(chosen.argv);
      if (typeof code === 'number') return finish('', code);
      if (chosen.argv.includes('--help')) return finish('', EXIT.done);
    }
  }
}

function unknownCommand(word: string): Fault {
  const close = nearest(word, Object.keys(COMMANDS));
  return new Fault('unknown-command', `'${word}' is unknown`, {
    source: 'operator',
    fix: close === undefined ? 'see nearcast --help' : `did you mean ${close}?`,
    exit: EXIT.usage,
  });
}

/** Ends the process once everything written is out; a pipe takes its time. */
function finish(text: string, code: number): void {
  process.stdout.write(text, () => process.stderr.write('', () => process.exit(code)));
}

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(EXIT.done); // `nearcast --help | head`: the reader has seen enough.
  throw error;
});

main(process.argv.slice(2)).catch((error: unknown) => {
  const isFault = error instanceof Fault;
  const line = isFault ? error.line() : error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`${line}\n`, () => process.exit(isFault ? error.exit : EXIT.failed));
});
