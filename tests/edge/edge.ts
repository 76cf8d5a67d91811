/** One edge process for a test file: free ports, a temporary cache folder, everything gone afterwards. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Answer, type Asked, ask } from './client.ts';
import { within } from './within.ts';

const PROGRAM = fileURLToPath(new URL('./edge-process.ts', import.meta.url));

export interface EdgeSetup {
  readonly upstreams: readonly string[];
  readonly profile?: 'rfc' | 'safe';
  readonly workers?: number;
  /** Without a disk tier everything is in memory. */
  readonly disk?: boolean;
  /** Keeps this folder over restarts; the caller removes it. */
  readonly cacheDir?: string;
  readonly more?: readonly string[];
}

export class Edge {
  readonly #child: ChildProcess;
  readonly #folder: string | undefined;
  readonly port: number;
  /** 0 without `--listen-tls`. */
  readonly tlsPort: number;
  readonly adminPort: number;
  /** What it wrote to stderr. */
  readonly output: () => string;

  private constructor(options: {
    child: ChildProcess;
    folder: string | undefined;
    port: number;
    tlsPort: number;
    adminPort: number;
    output: () => string;
  }) {
    this.#child = options.child;
    this.#folder = options.folder;
    this.port = options.port;
    this.tlsPort = options.tlsPort;
    this.adminPort = options.adminPort;
    this.output = options.output;
  }

  static async start(setup: EdgeSetup): Promise<Edge> {
    const folder =
      setup.disk === false || setup.cacheDir !== undefined
        ? undefined
        : await mkdtemp(join(tmpdir(), 'nearcast-tests-edge-'));
    const cacheDir = setup.cacheDir ?? folder;
    const args = [
      ['--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0'],
      setup.upstreams.flatMap((url) => ['--upstream', url]),
      ['--workers', String(setup.workers ?? 1), '--profile', setup.profile ?? 'safe'],
      cacheDir === undefined ? [] : ['--cache-dir', cacheDir],
      ['--connections-per-client', '0'],
      // Tests share the machine with others: its pauses are not what they are about.
      ['--shed-misses-delay', '0', '--shed-all-delay', '0'],
      setup.more ?? [],
    ].flat();
    const child = spawn(process.execPath, [PROGRAM, ...args], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: { PATH: process.env.PATH, TMPDIR: process.env.TMPDIR },
    });
    let output = '';
    const serving = new Promise<Serving>((resolve, reject) => {
      const heard = (bytes: Buffer) => {
        output += bytes.toString();
        const line = output.split('\n').find((one) => one.includes('"msg":"serving"'));
        if (line !== undefined) resolve(JSON.parse(line) as Serving);
      };
      child.stdout!.on('data', heard);
      child.stderr!.on('data', heard);
      child.once('exit', (code) => reject(new Error(`edge ended with ${code}: ${output}`)));
    });
    const { url, admin, tls } = await within(serving, 'the edge serving', 60_000);
    return new Edge({
      child,
      folder,
      port: portOf(url),
      adminPort: portOf(admin),
      tlsPort: tls === undefined ? 0 : portOf(`https://${tls}`),
      output: () => output,
    });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  get(target: string, headers: Asked['headers'] = {}): Promise<Answer> {
    return ask(this.port, target, { headers });
  }

  ask(target: string, asked: Asked = {}): Promise<Answer> {
    return ask(this.port, target, asked);
  }

  /** Tells it to read its configuration again, and waits until that has loaded or was refused. */
  async reload(): Promise<void> {
    const loads = async () => {
      const { configuration } = (await this.admin('/v1/stat')) as {
        configuration: { loaded: number; refused: number };
      };
      return configuration.loaded + configuration.refused;
    };
    const before = await loads();
    process.kill(this.pid, 'SIGHUP');
    while ((await loads()) === before);
  }

  /** Waits until it has written such a line, or one that it had written before. */
  async wrote(line: RegExp, millis?: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const look = () => {
      if (line.test(this.output())) resolve();
    };
    // After the listener that keeps the output.
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) stream.on('data', look);
    look();
    try {
      await within(promise, `a line like ${line}`, millis);
    } finally {
      for (const stream of [this.#child.stdout!, this.#child.stderr!]) stream.off('data', look);
    }
  }

  /** One series of `/metrics`; undefined where there is none. */
  async metric(series: string): Promise<number | undefined> {
    const { text } = await ask(this.adminPort, '/metrics');
    const line = text.split('\n').find((one) => one.startsWith(`${series} `));
    return line === undefined ? undefined : Number(line.slice(series.length + 1));
  }

  /** What the admin listener says in JSON. */
  async admin(path: string): Promise<unknown> {
    return JSON.parse((await ask(this.adminPort, path)).text);
  }

  /** The memory tier of its workers, as they report it once a second. */
  async memory(): Promise<{ bytes: number; budgetBytes: number }> {
    const { workers } = (await this.admin('/v1/stat')) as {
      workers: { store: { memory: { bytes: number; budgetBytes: number } } }[];
    };
    const sum = (what: 'bytes' | 'budgetBytes') => workers.reduce((all, { store }) => all + store.memory[what], 0);
    return { bytes: sum('bytes'), budgetBytes: sum('budgetBytes') };
  }

  /** Process ids of its workers. */
  async workers(): Promise<number[]> {
    const text = await readFile(`/proc/${this.pid}/task/${this.pid}/children`, 'utf8');
    return text.trim().split(/\s+/).map(Number);
  }

  /** Resident bytes of all its workers. */
  async residentBytes(): Promise<number> {
    let pages = 0;
    for (const pid of await this.workers())
      pages += Number((await readFile(`/proc/${pid}/statm`, 'utf8')).split(' ')[1]);
    return pages * 4096;
  }

  /** SIGKILL to it and its workers, as a power cut would. */
  async kill(): Promise<void> {
    for (const pid of await this.workers()) process.kill(pid, 'SIGKILL');
    this.#child.kill('SIGKILL');
    await this.#exited();
  }

  /** Ends it and removes its folder. */
  async stop(): Promise<void> {
    if (!this.ended) this.#child.kill('SIGINT');
    await this.#exited();
    if (this.#folder !== undefined) await rm(this.#folder, { recursive: true, force: true });
  }

  async #exited(): Promise<void> {
    if (this.ended) return;
    await within(new Promise((resolve) => this.#child.once('exit', resolve)), 'the edge ending', 20_000);
  }
}

/** Its line when it serves. */
interface Serving {
  readonly url: string;
  readonly admin: string;
  readonly tls?: string;
}

function portOf(url: string): number {
  return Number(new URL(url).port);
}
