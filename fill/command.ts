/**
 * `nearcast fill run | status`: has the control plane plan a fill, waits for it, and prints the receipt. The answer
 * goes to stdout, the talk to stderr. Planning is the control plane's, filling the agents'.
 */
import { readFile } from 'node:fs/promises';
import { type Clock, systemClock } from '../runtime/clock.ts';
import { EXIT, Fault } from '../runtime/errors.ts';
import { nearest } from '../runtime/nearest.ts';
import { helpText, type OptionTable, parseOptions } from '../runtime/options.ts';
import { type ApplianceFill, ControlClient, findControl, type RunAccepted } from './control-client.ts';
import { wait } from './pace.ts';
import { NO_FILL } from './progress.ts';
import { progressLine, receiptTable } from './receipt.ts';
import { compareText } from './rendezvous.ts';

const SHARED = {
  control: {
    kind: 'url',
    default: undefined,
    help: 'The control plane; else NEARCAST_CONTROL, else the box started here, else http://127.0.0.1:18001.',
  },
  tokenFile: {
    kind: 'path',
    default: undefined,
    placeholder: 'FILE',
    help: 'File with the bearer token, where the control plane asks for one.',
  },
  json: { kind: 'boolean', default: false, help: 'Prints the answer as JSON.' },
} as const satisfies OptionTable;

/** Options of `nearcast fill run`. */
export const RUN_OPTIONS = {
  now: { kind: 'boolean', default: false, help: 'Starts at once, whatever the window says; for a premiere.' },
  site: { kind: 'string', default: undefined, placeholder: 'SITE', help: 'Fills this site only.' },
  ...SHARED,
  wait: { kind: 'boolean', default: true, help: 'Waits until every appliance is done; --no-wait returns at once.' },
  timeout: {
    kind: 'duration',
    default: 43_200_000,
    min: 1000,
    help: 'Longest wait; the length of a usual window.',
  },
} as const satisfies OptionTable;

/** Options of `nearcast fill status`. */
export const STATUS_OPTIONS = SHARED;

export interface CommandTerminal {
  readonly stdout: { write(text: string): unknown };
  readonly stderr: { write(text: string): unknown; readonly isTTY?: boolean };
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly clock: Clock;
}

const LOOK_MILLIS = 500;
/** How long a control plane may be away while a fill is waited for: time for a restart. */
const AWAY_MILLIS = 60_000;

const HELP = `nearcast fill run | status

  nearcast fill run --now               fills every edge at once and prints a receipt
  nearcast fill run --now --site a      only the edges of site a
  nearcast fill run                     makes tonight's manifests; the agents begin when their window opens
  nearcast fill status --json           how far every appliance is

Exit: 0 done, 1 something is not filled, 2 usage, 3 no such site, 75 try again (control plane away, or not done in time).
`;

/** Runs one command line, without `nearcast fill` itself; answers the exit code. Faults end as one line on stderr. */
export async function run(argv: readonly string[], terminal: CommandTerminal = ownTerminal()): Promise<number> {
  // The clock's timers and idle connections let a process end; a command that waits must not.
  const alive = setInterval(() => undefined, 2 ** 30);
  try {
    return await runVerb(argv, terminal);
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    terminal.stderr.write(`${error.line()}\n`);
    return error.exit;
  } finally {
    clearInterval(alive);
  }
}

async function runVerb([verb, ...argv]: readonly string[], terminal: CommandTerminal): Promise<number> {
  const help = argv.includes('--help') || argv.includes('-h');
  switch (verb) {
    case 'run':
      return help ? tellHelp(terminal, `${HELP}\n${helpText(RUN_OPTIONS, 'fill')}`) : fillRun(argv, terminal);
    case 'status':
      return help ? tellHelp(terminal, `${HELP}\n${helpText(STATUS_OPTIONS, 'fill')}`) : fillStatus(argv, terminal);
    case undefined:
    case '--help':
    case '-h':
      terminal[verb === undefined ? 'stderr' : 'stdout'].write(HELP);
      return verb === undefined ? EXIT.usage : EXIT.done;
    default: {
      const close = nearest(verb, ['run', 'status']);
      throw new Fault('unknown-command', `nearcast fill ${verb}`, {
        source: 'operator',
        fix: close === undefined ? 'it is run or status' : `did you mean ${close}?`,
        exit: EXIT.usage,
      });
    }
  }
}

function tellHelp(terminal: CommandTerminal, text: string): number {
  terminal.stdout.write(text);
  return EXIT.done;
}

async function fillRun(argv: readonly string[], terminal: CommandTerminal): Promise<number> {
  const options = parseOptions(RUN_OPTIONS, { part: 'fill', argv, env: terminal.env });
  const control = await controlOf(options, terminal);
  const accepted = await control.run({ now: options.now, site: options.site });
  if (accepted.appliances.length === 0) throw noAppliances(control.url, options.site);
  terminal.stderr.write(`fill ${accepted.version}: ${accepted.appliances.join(', ')}\n`);
  if (!options.wait) {
    terminal.stdout.write(options.json ? json(accepted) : `${accepted.version}\n`);
    return EXIT.done;
  }
  const { ended, appliances } = await watch(control, accepted, options.timeout, terminal);
  terminal.stdout.write(options.json ? json({ version: accepted.version, appliances }) : receiptTable(appliances));
  if (ended === 'timeout') {
    const open = appliances.filter((one) => !hasEnded(one, accepted.version)).map(({ id }) => id);
    throw new Fault('fill-unfinished', `${open.join(', ')} did not finish within --timeout`, {
      source: 'peer',
      retry: true,
      fix: 'it goes on by itself; see `nearcast fill status`',
      exit: EXIT.tryAgain,
    });
  }
  return appliances.every(isComplete) ? EXIT.done : EXIT.failed;
}

async function fillStatus(argv: readonly string[], terminal: CommandTerminal): Promise<number> {
  const options = parseOptions(STATUS_OPTIONS, { part: 'fill', argv, env: terminal.env });
  const control = await controlOf(options, terminal);
  const appliances = await control.status();
  if (appliances.length === 0) throw noAppliances(control.url, undefined);
  terminal.stdout.write(options.json ? json({ appliances }) : receiptTable(appliances));
  return EXIT.done;
}

async function controlOf(
  options: { readonly control: string | undefined; readonly tokenFile: string | undefined },
  { env, cwd }: CommandTerminal,
): Promise<ControlClient> {
  const token = options.tokenFile === undefined ? undefined : await tokenOf(options.tokenFile);
  return new ControlClient({ ...(await findControl(options.control, env, cwd)), token });
}

async function tokenOf(file: string): Promise<string> {
  try {
    return (await readFile(file, 'utf8')).trim();
  } catch (error) {
    throw new Fault('token-unreadable', `${file}: ${(error as NodeJS.ErrnoException).code}`, {
      source: 'operator',
      fix: 'give --token-file a file that this user may read',
      exit: EXIT.usage,
      cause: error,
    });
  }
}

interface Watched {
  readonly ended: 'done' | 'timeout';
  readonly appliances: readonly ApplianceFill[];
}

/** Looks at the status until every appliance of the run has ended. */
async function watch(
  control: ControlClient,
  accepted: RunAccepted,
  timeoutMillis: number,
  terminal: CommandTerminal,
): Promise<Watched> {
  const { clock, stderr } = terminal;
  const never = new AbortController().signal;
  const begin = clock.monotonic();
  let heard = begin;
  let appliances: readonly ApplianceFill[] = [];
  const told = new Set<string>();
  for (;;) {
    try {
      appliances = ofRun(await control.status(), accepted);
      heard = clock.monotonic();
    } catch (error) {
      if (!(error instanceof Fault) || !error.retry || clock.monotonic() - heard > AWAY_MILLIS) throw error;
    }
    const open = appliances.filter((one) => !hasEnded(one, accepted.version));
    const over = clock.monotonic() - begin >= timeoutMillis;
    if (stderr.isTTY === true) stderr.write(`\r\x1b[K${progressLine(appliances)}`);
    else for (const one of appliances) if (!open.includes(one) && !told.has(one.id)) stderr.write(`${endLine(one)}\n`);
    for (const one of appliances) if (!open.includes(one)) told.add(one.id);
    if ((appliances.length > 0 && open.length === 0) || over) {
      if (stderr.isTTY === true) stderr.write('\n');
      return { ended: open.length === 0 ? 'done' : 'timeout', appliances };
    }
    await wait(clock, LOOK_MILLIS, never);
  }
}

/** The run's appliances, those that the status does not show (any more) as having nothing. */
function ofRun(appliances: readonly ApplianceFill[], accepted: RunAccepted): ApplianceFill[] {
  return accepted.appliances
    .toSorted(compareText)
    .map((id) => appliances.find((one) => one.id === id) ?? { id, site: '?', fill: NO_FILL });
}

/** Done, or waiting for its window: then there is nothing to wait for. A newer manifest counts for this one. */
function hasEnded({ fill }: ApplianceFill, version: number): boolean {
  return fill.manifestVersion >= version && (fill.state === 'done' || fill.state === 'paused');
}

function isComplete({ fill }: ApplianceFill): boolean {
  return fill.state === 'paused' || fill.assetsDone === fill.assetsPlanned;
}

function endLine({ id, fill }: ApplianceFill): string {
  if (fill.state === 'paused') return `${id} waits for its window`;
  const failed = fill.assetsPlanned - fill.assetsDone;
  return `${id} done: ${fill.assetsDone} of ${fill.assetsPlanned} assets${failed > 0 ? `, ${failed} failed` : ''}`;
}

function noAppliances(url: string, site: string | undefined): Fault {
  const where = site === undefined ? '' : ` of site ${site}`;
  return new Fault('no-appliances', `the control plane at ${url} knows no edge${where}`, {
    source: 'operator',
    fix: site === undefined ? 'start an edge with --control' : 'see the sites with `nearcast fill status`',
    exit: site === undefined ? EXIT.failed : EXIT.notFound,
  });
}

function json(answer: unknown): string {
  return `${JSON.stringify(answer, undefined, 2)}\n`;
}

function ownTerminal(): CommandTerminal {
  const { stdout, stderr, env } = process;
  return { stdout, stderr, env, cwd: process.cwd(), clock: systemClock };
}
