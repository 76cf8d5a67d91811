/**
 * What every load generator is given and gives back. wrk (`wrk.ts`), in C, ends at about 130 k requests/s a core;
 * h2load (`h2load.ts`) speaks HTTP/2 and keeps a fixed rate; autocannon, here, needs nothing installed and ends at about
 * 50 k.
 */
import { type ExecFileException, execFile } from 'node:child_process';
import { promisify } from 'node:util';
import autocannon from 'autocannon';
import { Fault } from '../runtime/errors.ts';
import { pathOf, rangeStarts, type Scenario } from './scenarios.ts';

export interface Measured {
  readonly requests: number;
  readonly seconds: number;
  readonly requestsPerSecond: number;
  readonly bytesPerSecond: number;
  /** None where the generator does not tell. */
  readonly p50Millis: number | undefined;
  readonly p99Millis: number | undefined;
  /** Connection errors and answers with another status. */
  readonly errors: number;
  /** CPU time of the generator itself; none where it is the bench. */
  readonly loadCpuSeconds: number | undefined;
}

export interface LoadOptions {
  readonly seconds: number;
  /** Processors that it is pinned to. */
  readonly cpus: string;
  /** Where scripts may be written. */
  readonly folder: string;
  /** Makes the URLs of this run's misses its own. */
  readonly tag: string;
  /** Requests a second over all connections; none for as many as it can. */
  readonly rate: number | undefined;
  /** Ends the generator early; its run then rejects. */
  readonly signal: AbortSignal;
}

/** `url` is the base URL of the server. */
export type Loader = (url: string, scenario: Scenario, options: LoadOptions) => Promise<Measured>;

/** Fetches the n-th miss of a run, as every generator names them. */
export function missPath(scenario: Scenario, tag: string, n: number): string {
  return pathOf(scenario, `${tag}-${n}`);
}

export const byAutocannon: Loader = async (url, scenario, options) => {
  const miss = scenario.from === 'miss';
  const paths = Array.from({ length: Math.min(scenario.objects, 1000) }, (_, i) => pathOf(scenario, i));
  const ranges = scenario.rangeBytes === undefined ? [undefined] : rangeStarts(scenario, 100);
  const requests = ranges.flatMap((start) =>
    paths.map((path) => ({
      path: miss ? `${pathOf(scenario, options.tag)}-[<id>]` : path,
      headers: {
        ...scenario.fields,
        ...(start === undefined ? {} : { range: `bytes=${start}-${start + scenario.rangeBytes! - 1}` }),
      },
    })),
  );
  const result = await autocannon({
    url,
    connections: scenario.connections,
    duration: options.seconds,
    requests,
    idReplacement: miss,
  });
  const codes = (result as unknown as { statusCodeStats?: Record<string, { count: number }> }).statusCodeStats ?? {};
  const unexpected = Object.entries(codes).reduce(
    (sum, [code, { count }]) => sum + (Number(code) === scenario.status ? 0 : Number(count)),
    0,
  );
  return {
    requests: result.requests.total,
    seconds: result.duration,
    requestsPerSecond: result.requests.average,
    bytesPerSecond: result.throughput.average,
    p50Millis: result.latency.p50,
    p99Millis: result.latency.p99,
    errors: result.errors + unexpected,
    loadCpuSeconds: undefined,
  };
};

/** Runs a generator pinned; its output and the CPU time that it took. */
export async function pinnedLoad(
  argv: readonly string[],
  options: {
    readonly cpus: string;
    readonly seconds: number;
    readonly signal: AbortSignal;
    readonly env?: NodeJS.ProcessEnv;
  },
): Promise<{ stdout: string; cpuSeconds: number }> {
  const program = argv[0]!;
  let stdout: string;
  try {
    // The shell's `times` tells what its child took, which Node does not.
    const words = ['-c', options.cpus, 'sh', '-c', '"$@" || exit; times', 'sh', ...argv];
    ({ stdout } = await promisify(execFile)('taskset', words, {
      timeout: (options.seconds + 30) * 1000,
      env: { ...process.env, ...options.env },
      maxBuffer: 1 << 24,
      signal: options.signal,
    }));
  } catch (error) {
    options.signal.throwIfAborted();
    const { code, signal, killed, message } = error as ExecFileException;
    const how = killed === true ? `did not end (${signal})` : `failed (${code}): ${message}`;
    throw new Fault('load', `${program} ${how}`, {
      source: 'operator',
      fix: code === 'ENOENT' || code === 127 ? `install ${program}` : 'run the row again with --only',
    });
  }
  const times = /(\d+)m([\d.]+)s (\d+)m([\d.]+)s\s*$/.exec(stdout);
  if (times === null) throw new Fault('load', `${program}: unexpected output: ${stdout}`, { source: 'internal' });
  const [userMinutes, user, systemMinutes, system] = times.slice(1).map(Number);
  return { stdout, cpuSeconds: (userMinutes! + systemMinutes!) * 60 + user! + system! };
}
