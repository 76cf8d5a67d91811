/** Load by wrk: HTTP/1.1, cleartext or TLS, as many requests as it can. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '../runtime/errors.ts';
import { type Loader, pinnedLoad } from './load.ts';
import { pathOf, rangeStarts, type Scenario } from './scenarios.ts';

/** Requests prepared before a run and sent in turn, so that the generator does not spend itself on making them. */
const MOST_PREPARED = 12_000;
const RANGES = 1000;

export const byWrk: Loader = async (url, scenario, options) => {
  const script = join(options.folder, 'wrk.lua');
  const tlsConfiguration = join(options.folder, 'openssl.cnf');
  await writeFile(script, luaScript(scenario, options.tag));
  await writeFile(tlsConfiguration, TLS_CONFIGURATION);
  const counts = [`-t${scenario.cores}`, `-c${scenario.connections}`, `-d${options.seconds}s`, '--timeout', '10s'];
  const { stdout, cpuSeconds } = await pinnedLoad(['wrk', ...counts, '-s', script, url + pathOf(scenario, 0)], {
    cpus: options.cpus,
    seconds: options.seconds,
    signal: options.signal,
    env: { OPENSSL_CONF: tlsConfiguration },
  });
  const line = /^RESULT (.+)$/m.exec(stdout)?.[1];
  if (line === undefined) throw new Fault('wrk', `unexpected output: ${stdout}`, { source: 'internal' });
  const [requests, bytes, micros, errors, p50, p99] = line.split(' ').map(Number);
  const seconds = micros! / 1e6;
  return {
    requests: requests!,
    seconds,
    requestsPerSecond: requests! / seconds,
    bytesPerSecond: bytes! / seconds,
    p50Millis: requests === 0 ? undefined : p50! / 1000,
    p99Millis: requests === 0 ? undefined : p99! / 1000,
    errors: errors!,
    loadCpuSeconds: cpuSeconds,
  };
};

/** The same protocol and cipher with every server, chosen at the client. */
const TLS_CONFIGURATION = `openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = client
[client]
MinProtocol = TLSv1.3
Ciphersuites = TLS_AES_128_GCM_SHA256
`;

/** Prepares the requests, counts unexpected statuses, prints one line that a program reads. */
function luaScript(scenario: Scenario, tag: string): string {
  const fields = Object.entries(scenario.fields).map(
    ([name, value]) => `wrk.headers[${JSON.stringify(name)}] = ${JSON.stringify(value)}`,
  );
  return `
${fields.join('\n')}
${requestsOf(scenario, tag)}
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format('RESULT %.0f %.0f %.0f %d %d %d\\n', summary.requests, summary.bytes, summary.duration,
    e.connect + e.read + e.write + e.timeout + e.status, latency:percentile(50), latency:percentile(99)))
end
`;
}

function requestsOf(scenario: Scenario, tag: string): string {
  if (scenario.from === 'miss')
    return `
local n, head, tail = 0, '', ''
init = function(args)
  head, tail = wrk.format(nil, ${JSON.stringify(pathOf(scenario, `${tag}-`))} .. '@'):match('^(.-)@(.*)$')
end
request = function() n = n + 1; return head .. n .. tail end`;
  if (scenario.objects === 1 && scenario.rangeBytes === undefined) return '';
  const prepared =
    scenario.rangeBytes === undefined
      ? `for i = 0, ${Math.min(scenario.objects, MOST_PREPARED) - 1} do
    all[#all + 1] = wrk.format(nil, ${JSON.stringify(pathOf(scenario, ''))} .. i)
  end`
      : `for _, from in ipairs({ ${rangeStarts(scenario, RANGES).join(',')} }) do
    wrk.headers['Range'] = string.format('bytes=%d-%d', from, from + ${scenario.rangeBytes - 1})
    all[#all + 1] = wrk.format()
  end`;
  return `
local all, n = {}, 0
init = function(args)
  ${prepared}
  math.randomseed(4711)
  for i = #all, 2, -1 do local j = math.random(i); all[i], all[j] = all[j], all[i] end
end
request = function() n = n % #all + 1; return all[n] end`;
}
