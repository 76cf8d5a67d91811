/**
 * One process of the box: started, waited for until it serves, started again when it dies, ended with everything it
 * began. Each has a process group and an IPC channel: the channel's end tells it when the box was killed, and the
 * group lets the box end also what the process left behind.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { EXIT, Fault } from '../runtime/errors.ts';
import type { PlannedProcess } from './box-plan.ts';

const COMMAND = fileURLToPath(new URL('./command.ts', import.meta.url));
const READY_MILLIS = 60_000;
const LOOK_MILLIS = 50;
const STOP_MILLIS = 5000;
const BACKOFF_MILLIS = 1000;
const BACKOFF_MOST_MILLIS = 30_000;
/** A process that served this long starts its backoff afresh. */
const STEADY_MILLIS = 60_000;

export interface BoxProcessEvents {
  /** It serves, the first time or again. */
  serving(process: BoxProcess): void;
  /** It ended by itself; it starts again after so long. */
  ended(process: BoxProcess, how: string, restartMillis: number): void;
}

export class BoxProcess {
  readonly plan: PlannedProcess;
  readonly #logs: string;
  readonly #events: BoxProcessEvents;
  /** The least pause before a restart. */
  readonly #pauseMillis: number;
  readonly #stop = new AbortController();
  #child: ChildProcess | undefined;
  #backoffMillis = BACKOFF_MILLIS;

  constructor(plan: PlannedProcess, logs: string, pauseMillis: number, events: BoxProcessEvents) {
    this.plan = plan;
    this.#logs = logs;
    this.#pauseMillis = pauseMillis;
    this.#events = events;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get logFile(): string {
    return join(this.#logs, `${this.plan.name.replaceAll(' ', '-')}.log`);
  }

  /** Starts it and resolves when it serves. Throws its own complaint when it ends or is not ready in time. */
  async start(): Promise<void> {
    const log = await open(this.logFile, 'a');
    const from = (await log.stat()).size;
    let ended: string | undefined;
    try {
      const child = fork(COMMAND, [...this.plan.argv], {
        execArgv: ['--disable-warning=ExperimentalWarning'],
        stdio: ['ignore', log.fd, log.fd, 'ipc'],
        detached: true,
      });
      this.#child = child;
      child.once('error', (error) => {
        ended ??= String(error);
      });
      child.once('exit', (code, signal) => {
        ended ??= signal ?? `exit code ${code}`;
      });
    } finally {
      await log.close();
    }
    const child = this.#child;
    const until = performance.now() + READY_MILLIS;
    while (ended === undefined && performance.now() < until && !this.#stop.signal.aborted) {
      if (await serves(this.plan.readyUrl)) {
        if (ended !== undefined) break;
        this.#watch(child, performance.now());
        this.#events.serving(this);
        return;
      }
      await wait(LOOK_MILLIS, undefined, { signal: this.#stop.signal }).catch(() => {}); // Stopped: the loop's condition.
    }
    this.#killGroup();
    if (this.#stop.signal.aborted) return;
    throw await this.#startFault(from, ended ?? `not ready after ${READY_MILLIS / 1000} s`, child.exitCode);
  }

  /** Ends it, and does not start it again. */
  async close(): Promise<void> {
    this.#stop.abort();
    const child = this.#child;
    if (child === undefined) return;
    if (child.exitCode === null && child.signalCode === null) {
      const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
      child.kill('SIGINT');
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MILLIS);
      await exited;
      clearTimeout(timer);
    }
    this.#killGroup();
  }

  #watch(child: ChildProcess, sinceMillis: number): void {
    const ended = (code: number | null, signal: NodeJS.Signals | null) => {
      this.#killGroup();
      if (this.#stop.signal.aborted) return;
      if (performance.now() - sinceMillis > STEADY_MILLIS) this.#backoffMillis = BACKOFF_MILLIS;
      void this.#again(signal ?? `exit code ${code}`);
    };
    if (child.exitCode !== null || child.signalCode !== null) ended(child.exitCode, child.signalCode);
    else child.once('exit', ended);
  }

  async #again(how: string): Promise<void> {
    let why = how;
    while (!this.#stop.signal.aborted) {
      const pause = Math.max(this.#pauseMillis, this.#backoffMillis);
      this.#backoffMillis = Math.min(BACKOFF_MOST_MILLIS, this.#backoffMillis * 2);
      this.#events.ended(this, why, pause);
      try {
        await wait(pause, undefined, { signal: this.#stop.signal });
        return await this.start();
      } catch (error) {
        why = error instanceof Fault ? error.message : String(error);
      }
    }
  }

  /** What the process began and left: workers of a killed edge. */
  #killGroup(): void {
    const pid = this.#child?.pid;
    if (pid === undefined) return;
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // ESRCH: the group is gone already, which is what we want.
    }
  }

  /** The process's own `error:` line, with its exit code, else how it ended. */
  async #startFault(from: number, how: string, exitCode: number | null): Promise<Fault> {
    const text = await tail(this.logFile, from);
    const complaint = /^error: ([a-z0-9-]+): (.*)$/m.exec(text);
    const known: readonly number[] = Object.values(EXIT);
    return new Fault(complaint?.[1] ?? 'part-failed', `${this.plan.name}: ${complaint?.[2] ?? how}`, {
      source: 'operator',
      exit: exitCode !== null && exitCode !== 0 && known.includes(exitCode) ? exitCode : EXIT.failed,
      ...(complaint === null ? { fix: `see ${this.logFile}` } : {}),
    });
  }
}

async function serves(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2000), method: 'GET' });
    await response.body?.cancel();
    return response.status < 500;
  } catch {
    return false; // Not listening yet.
  }
}

async function tail(path: string, from: number): Promise<string> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, 'r');
    const { size } = await file.stat();
    const start = Math.max(from, size - 64 * 1024);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size - start), 0, size - start, start);
    return buffer.toString('utf8', 0, bytesRead);
  } catch (error) {
    return String(error);
  } finally {
    await file?.close();
  }
}
