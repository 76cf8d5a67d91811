/**
 * Load on one URL, by autocannon or by wrk. wrk, in C, ends at about 130 k requests/s a core; autocannon, on Node, at
 * about 50 k: for comparing servers take wrk.
 */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import autocannon from 'autocannon';
import { Fault } from '../runtime/errors.ts';
import type { Scenario } from './scenarios.ts';

export interface Measured {
  readonly requestsPerSecond: number;
  readonly bytesPerSecond: number;
  readonly p50Millis: number;
  readonly p99Millis: number;
  /** Connection errors and answers with another status. */
  readonly errors: number;
}

export interface LoadOptions {
  readonly connections: number;
  readonly seconds: number;
  /** Where scripts may be written. */
  readonly folder: string;
}

export type Loader = (url: string, scenario: Scenario, options: LoadOptions) => Promise<Measured>;

export const byAutocannon: Loader = async (url, scenario, options) => {
  const miss = scenario.kind === 'miss';
  const result = await autocannon({
    url: url + scenario.path + (miss ? '?n=[<id>]' : ''),
    connections: options.connections,
    duration: options.seconds,
    headers: { ...scenario.fields },
    idReplacement: miss,
  });
  const codes = (result as unknown as { statusCodeStats?: Record<string, { count: number }> }).statusCodeStats ?? {};
  const unexpected = Object.entries(codes).reduce(
    (sum, [code, { count }]) => sum + (Number(code) === scenario.status ? 0 : Number(count)),
    0,
  );
  return {
    requestsPerSecond: result.requests.average,
    bytesPerSecond: result.throughput.average,
    p50Millis: result.latency.p50,
    p99Millis: result.latency.p99,
    errors: result.errors + unexpected,
  };
};

/** wrk, pinned off the server's processor. Connections are few for large bodies, so that their answers fit into a run. */
export const byWrk: Loader = async (url, scenario, options) => {
  const script = join(options.folder, 'wrk.lua');
  await writeFile(script, luaScript(scenario));
  const argv = [
    '-c',
    '1',
    'wrk',
    '-t1',
    `-c${options.connections}`,
    `-d${options.seconds}s`,
    '--timeout',
    '10s',
    '-s',
    script,
    url + scenario.path,
  ];
  let stdout: string;
  try {
    ({ stdout } = await promisify(execFile)('taskset', argv, { timeout: (options.seconds + 30) * 1000 }));
  } catch (error) {
    throw new Fault('wrk', `wrk failed: ${(error as Error).message}`, {
      source: 'operator',
      fix: 'apt-get install wrk',
    });
  }
  const line = /^RESULT (.+)$/m.exec(stdout)?.[1];
  if (line === undefined) throw new Fault('wrk', `unexpected output: ${stdout}`, { source: 'internal' });
  const [requests, bytes, micros, errors, p50, p99] = line.split(' ').map(Number);
  const seconds = micros! / 1e6;
  return {
    requestsPerSecond: requests! / seconds,
    bytesPerSecond: bytes! / seconds,
    p50Millis: p50! / 1000,
    p99Millis: p99! / 1000,
    errors: errors!,
  };
};

/** Sets fields, gives each miss a URL of its own, counts unexpected statuses, prints one line that a program reads. */
function luaScript(scenario: Scenario): string {
  const fields = Object.entries(scenario.fields).map(
    ([name, value]) => `wrk.headers[${JSON.stringify(name)}] = ${JSON.stringify(value)}`,
  );
  const miss =
    scenario.kind === 'miss'
      ? `local n = 0; local s = os.time() .. '-' .. math.random(1e9); request = function() n = n + 1; return wrk.format(nil, wrk.path .. '?n=' .. s .. '-' .. n) end`
      : '';
  return `
${fields.join('\n')}
math.randomseed(os.time())
${miss}
done = function(summary, latency)
  local e = summary.errors
  local status = e.status
  if ${scenario.status} >= 400 then status = 0 end
  io.write(string.format('RESULT %d %d %d %d %d %d\\n', summary.requests, summary.bytes, summary.duration,
    e.connect + e.read + e.write + e.timeout + status, latency:percentile(50), latency:percentile(99)))
end
`;
}
