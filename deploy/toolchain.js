/**
 * What a checkout needs before any TypeScript can run: the npm packages of the lock file and Node 26. Plain JavaScript
 * without packages, since it runs on whatever Node (20 or newer) the machine has, before anything is installed.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

const OLDEST_NODE = 26;
/** Another start that installs is waited for this long; a lock that is older was left by a killed one. */
const INSTALL_MILLIS = 300_000;

/** A complaint for the user: one line, no stack. */
export class Complaint extends Error {
  /** @param {string} line @param {number} [exit] */
  constructor(line, exit = 1) {
    super(line);
    this.exit = exit;
  }
}

/**
 * Installs the packages of package-lock.json when some are missing or of another version.
 * @param {{ development: boolean }} options `development` includes the packages that only tests and checks need
 */
export async function ensurePackages({ development }) {
  if (lacking(development) === undefined) return;
  const lock = join(ROOT, '.nearcast', 'install.lock');
  mkdirSync(dirname(lock), { recursive: true });
  await exclusively(lock, async () => {
    const missing = lacking(development); // Another start may have installed it meanwhile.
    if (missing === undefined) return;
    process.stderr.write(`nearcast: ${missing}; installing the packages of package-lock.json (npm ci)\n`);
    const npm = process.env.npm_execpath;
    const [command, ...args] = npm?.endsWith('.js') ? [process.execPath, npm] : ['npm'];
    const code = await ended(
      spawn(command, [...args, 'ci', '--no-audit', '--no-fund', '--loglevel=error'], {
        cwd: ROOT,
        stdio: ['ignore', process.stderr, process.stderr],
        env: { ...process.env, npm_config_omit: '', NODE_ENV: 'development' },
      }),
      'npm is not here; install it (it comes with Node.js)',
    );
    if (code !== 0) throw new Complaint(`error: install-failed: npm ci ended with ${code}; see its lines above`);
    const still = lacking(development);
    if (still !== undefined) throw new Complaint(`error: install-failed: after npm ci ${still}`);
  });
}

/** The Node to run the sources with: 26 or newer strips types and has what the parts use. */
export function findNode() {
  if (Number(process.versions.node.split('.')[0]) >= OLDEST_NODE) return process.execPath;
  const packaged = join(ROOT, 'node_modules', `node-${process.platform}-${process.arch}`, 'bin', 'node');
  if (existsSync(packaged)) return packaged;
  throw new Complaint(
    `error: node-too-old: Node ${process.versions.node} runs here and there is no packaged Node ${OLDEST_NODE} for ` +
      `${process.platform} ${process.arch}; run this with Node ${OLDEST_NODE} or newer`,
  );
}

/**
 * Runs a program in the foreground until it ends; answers its exit code. Signals go on to it, and an IPC channel tells
 * it when this process is killed.
 * @param {string} program @param {readonly string[]} args
 */
export async function inForeground(program, args) {
  const packagesFirst = `${join(ROOT, 'node_modules', '.bin')}:${process.env.PATH ?? ''}`;
  // A group of its own: the terminal's Ctrl-C reaches only us, so that the program gets each signal once, from here.
  const child = spawn(program, args, {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    detached: true,
    // The cache halves the start of each process (measured: 1.3 s of processor time to 0.6 s for an edge).
    env: { NODE_COMPILE_CACHE: join(ROOT, '.nearcast', 'compile-cache'), ...process.env, PATH: packagesFirst },
  });
  let last = { signal: '', at: 0 };
  const pass = (signal) => {
    // npm hands on the Ctrl-C that the terminal also gave us: the same signal twice at once is one.
    if (last.signal === signal && Date.now() - last.at < 300) return;
    last = { signal, at: Date.now() };
    // A terminal that closes ends the program; a HUP by an operator makes it read its configuration again.
    child.kill(signal === 'SIGHUP' && process.stdout.isTTY ? 'SIGTERM' : signal);
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => pass(signal));
  return ended(child, `${program} cannot be run`);
}

/** Ends this process as the complaint, or a broken invariant, says. */
export function complain(error) {
  process.stderr.write(error instanceof Complaint ? `${error.message}\n` : `${error?.stack ?? error}\n`);
  process.exit(error instanceof Complaint ? error.exit : 1);
}

/** @returns {Promise<number>} */
function ended(child, absent) {
  return new Promise((resolve, reject) => {
    child.once('error', (error) =>
      reject(error.code === 'ENOENT' ? new Complaint(`error: not-found: ${absent}`) : error),
    );
    child.once('exit', (code, signal) => resolve(code ?? 128 + (constants.signals[signal] ?? 0)));
  });
}

/** What node_modules lacks against the lock file, in words; undefined when nothing. */
function lacking(development) {
  const wanted = packages(join(ROOT, 'package-lock.json')) ?? {};
  const present = packages(join(ROOT, 'node_modules', '.package-lock.json'));
  if (present === undefined) return 'no packages are installed';
  for (const [path, { version, optional, dev, peer, devOptional, os, cpu }] of Object.entries(wanted)) {
    if (path === '' || ((dev || devOptional) && !development)) continue;
    const forHere = (os?.includes(process.platform) ?? true) && (cpu?.includes(process.arch) ?? true);
    const nodeItself = /node_modules\/node-[a-z0-9]+-[a-z0-9]+$/.test(path) && forHere;
    if ((optional || peer) && !nodeItself) continue;
    if (nodeItself && Number(process.versions.node.split('.')[0]) >= OLDEST_NODE) continue;
    if (present[path]?.version !== version) return `${path.replace('node_modules/', '')} ${version} is not installed`;
  }
  return undefined;
}

function packages(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages;
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Runs `work` while no other process does; the folder `lock` is the token. */
async function exclusively(lock, work) {
  const until = Date.now() + INSTALL_MILLIS;
  for (;;) {
    try {
      mkdirSync(lock);
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    const since = statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
    if (Date.now() - since > INSTALL_MILLIS) rmSync(lock, { recursive: true, force: true });
    else if (Date.now() > until) throw new Complaint(`error: install-busy: remove ${lock} if nothing installs`, 75);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  const free = () => rmSync(lock, { recursive: true, force: true });
  process.once('exit', free);
  try {
    await work();
  } finally {
    process.off('exit', free);
    free();
  }
}
