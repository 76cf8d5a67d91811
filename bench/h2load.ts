/**
 * Load by h2load: HTTP/2 over TLS 1.3, or HTTP/1.1 at a fixed rate for latency. Latency is from the sending of a request,
 * at its appointed time while the connection is free, to its last byte; each is logged by h2load to a file.
 */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '../runtime/errors.ts';
import { type Loader, type Measured, pinnedLoad } from './load.ts';
import { isLarge, pathOf } from './scenarios.ts';

const H2_CONNECTIONS = 8;
/** 64 requests at a time, as many as HTTP/1.1 rows have connections. */
const STREAMS = 8;

export const byH2load: Loader = async (url, scenario, options) => {
  const h2 = scenario.protocol === 'h2';
  const connections = h2 ? Math.min(H2_CONNECTIONS, scenario.connections) : scenario.connections;
  const argv = [
    'h2load',
    '-t1',
    `-c${connections}`,
    `-m${h2 && !isLarge(scenario) ? STREAMS : 1}`,
    `-D${options.seconds}`,
  ];
  if (!h2) argv.push('--h1');
  argv.push('--tls13-ciphers=TLS_AES_128_GCM_SHA256');
  const log = join(options.folder, 'h2load.log');
  await rm(log, { force: true });
  if (options.rate !== undefined)
    argv.push(`--rps=${Math.max(1, Math.round(options.rate / connections))}`, `--log-file=${log}`);
  for (const [name, value] of Object.entries(scenario.fields)) argv.push('-H', `${name}: ${value}`);
  const { stdout, cpuSeconds } = await pinnedLoad([...argv, url + pathOf(scenario, 0)], options);
  const latencies = options.rate === undefined ? undefined : loggedMicros(await readFile(log, 'utf8'));
  return { ...summary(stdout), ...percentiles(latencies), loadCpuSeconds: cpuSeconds };
};

/** The figures of h2load's closing lines. */
export function summary(stdout: string): Omit<Measured, 'p50Millis' | 'p99Millis' | 'loadCpuSeconds'> {
  const seconds = durationSeconds(/^finished in ([\d.]+)(ms|us|s|m|h)/m.exec(stdout));
  const requests = /^requests: .* (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout/m.exec(
    stdout,
  );
  const bytes = /^traffic: \S+ \((\d+)\) total/m.exec(stdout);
  if (seconds === undefined || requests === null || bytes === null)
    throw new Fault('h2load', `unexpected output: ${stdout}`, { source: 'internal' });
  const [, done, , failed, errored, timeout] = requests.map(Number);
  return {
    requests: done!,
    seconds,
    requestsPerSecond: done! / seconds,
    bytesPerSecond: Number(bytes[1]) / seconds,
    errors: failed! + errored! + timeout!,
  };
}

const UNIT_SECONDS: Readonly<Record<string, number>> = { us: 1e-6, ms: 1e-3, s: 1, m: 60, h: 3600 };

function durationSeconds(match: RegExpExecArray | null): number | undefined {
  return match === null ? undefined : Number(match[1]) * UNIT_SECONDS[match[2]!]!;
}

/** Third column: microseconds to the end of the response. */
function loggedMicros(text: string): Float64Array {
  const lines = text.split('\n');
  const micros = new Float64Array(lines.length);
  let count = 0;
  for (const line of lines) if (line !== '') micros[count++] = Number(line.slice(line.lastIndexOf('\t') + 1));
  return micros.subarray(0, count).sort();
}

function percentiles(sorted: Float64Array | undefined): Pick<Measured, 'p50Millis' | 'p99Millis'> {
  if (sorted === undefined || sorted.length === 0) return { p50Millis: undefined, p99Millis: undefined };
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]! / 1000;
  return { p50Millis: at(0.5), p99Millis: at(0.99) };
}
