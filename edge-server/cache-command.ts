/**
 * `nearcast cache ls | show URL | verify | purge URL | stat`: what an edge's disk tier holds, beside a running edge or on
 * a stopped one, and what a running one says of its tiers. Reads volumes; only `purge` changes anything, through the edge.
 */
import { request as httpRequest } from 'node:http';
import { EXIT, Fault } from '../runtime/errors.ts';
import { nearest } from '../runtime/nearest.ts';
import { helpText, type OptionTable, parseOptions } from '../runtime/options.ts';
import { ageSeconds, freshMillisLeft } from './cache/reuse.ts';
import { type ListedResponse, listStored, verifyStored } from './store/stored-list.ts';
import type { WorkerReport } from './worker-messages.ts';

const CACHE_OPTIONS = {
  cacheDir: {
    kind: 'list',
    default: [],
    placeholder: 'DIR',
    help: 'Volume to read; repeat for several (ls, show, verify).',
  },
  admin: { kind: 'url', default: 'http://127.0.0.1:9080', help: 'Admin address of a running edge (stat).' },
  edge: { kind: 'url', default: 'http://127.0.0.1:8080', help: 'Serving address of a running edge (purge).' },
  soft: { kind: 'boolean', default: false, help: 'Makes stale instead of removing (purge).' },
  json: { kind: 'boolean', default: false, help: 'JSON: an array, or one object, on stdout.' },
} as const satisfies OptionTable;

const HELP = `nearcast cache: what an edge holds

  nearcast cache ls --cache-dir ./cache                        every stored response; a purged one until its space is taken back
  nearcast cache show http://example.org/a --cache-dir ./cache one URL's variants, with fields
  nearcast cache verify --cache-dir ./cache                    compares every checksum; exit 1 when one is wrong
  nearcast cache purge http://example.org/a --edge URL         removes all variants, in every worker
  nearcast cache stat --admin URL                              tiers, volumes, hit ratios

options:
`;

const VERBS = ['ls', 'show', 'verify', 'purge', 'stat'] as const;
const ANSWER_MILLIS = 10_000;

/** Returns the exit code. */
export async function run(argv: readonly string[]): Promise<number> {
  const [verb, ...rest] = argv;
  if (verb === undefined || argv.includes('--help')) {
    process.stdout.write(HELP + helpText(CACHE_OPTIONS, 'cache'));
    return EXIT.done;
  }
  const subject =
    (verb === 'show' || verb === 'purge') && rest[0] !== undefined && !rest[0].startsWith('--')
      ? rest.shift()
      : undefined;
  const options = parseOptions(CACHE_OPTIONS, { part: 'cache', argv: rest, env: process.env });
  switch (verb) {
    case 'ls':
      return list(volumesOf(options.cacheDir), options.json);
    case 'show':
      return show(volumesOf(options.cacheDir), urlOf(subject, verb), options.json);
    case 'verify':
      return verify(volumesOf(options.cacheDir), options.json);
    case 'purge':
      return purge(options.edge, urlOf(subject, verb), options.soft);
    case 'stat':
      return stat(options.admin, options.json);
    default: {
      const close = nearest(verb, VERBS);
      throw usage(
        'unknown-command',
        `'cache ${verb}' is not a command`,
        close === undefined ? `give one of ${VERBS.join(', ')}` : `did you mean cache ${close}?`,
      );
    }
  }
}

function usage(code: string, message: string, fix: string): Fault {
  return new Fault(code, message, { source: 'operator', fix, exit: EXIT.usage });
}

function volumesOf(directories: readonly string[]): readonly string[] {
  if (directories.length === 0)
    throw usage('option-missing', '--cache-dir is required', 'name the folder that the edge was given');
  return directories;
}

function urlOf(subject: string | undefined, verb: string): string {
  if (subject === undefined || !/^https?:\/\/./.test(subject))
    throw usage(
      'option-missing',
      `cache ${verb} needs an http or https URL`,
      `write: nearcast cache ${verb} http://example.org/a`,
    );
  return subject;
}

/** What `ls` says of a response; stable names for scripts. */
function line(listed: ListedResponse, nowMillis: number) {
  const { response } = listed;
  const left = freshMillisLeft(response, nowMillis);
  return {
    key: response.key,
    variant: response.variant,
    status: response.status,
    bytes: response.bodyLength,
    storedBytes: listed.storedBytes,
    complete: listed.complete,
    ageSeconds: ageSeconds(response, nowMillis),
    freshSeconds: Number.isFinite(left) ? Math.floor(left / 1000) : 0,
    place: listed.place,
    volume: listed.volume,
  };
}

async function list(volumes: readonly string[], json: boolean): Promise<number> {
  const now = Date.now();
  let count = 0;
  if (json) process.stdout.write('[');
  for await (const listed of listStored(volumes)) {
    const row = line(listed, now);
    if (json) process.stdout.write(`${count > 0 ? ',' : ''}\n${JSON.stringify(row)}`);
    else
      process.stdout.write(
        `${row.status}  ${`${row.storedBytes}/${row.bytes}`.padStart(23)} B  ${`${row.freshSeconds} s`.padStart(9)}  ${row.key}${row.variant === '' ? '' : `  [${row.variant.replaceAll('\n', '; ')}]`}\n`,
      );
    count += 1;
  }
  if (json) process.stdout.write('\n]\n');
  else
    process.stderr.write(
      `${count} stored responses; columns: status, bytes stored of all, freshness left, URL, variant\n`,
    );
  return EXIT.done;
}

async function show(volumes: readonly string[], url: string, json: boolean): Promise<number> {
  const now = Date.now();
  const found = [];
  for await (const listed of listStored(volumes)) {
    if (listed.response.key !== url) continue;
    const { fields, freshness, etag, tags, sha256 } = listed.response;
    found.push({ ...line(listed, now), etag, tags, sha256, freshness, fields });
  }
  if (found.length === 0)
    throw new Fault('not-stored', `${url} is not stored`, {
      source: 'operator',
      fix: 'the key is the canonical URL as `cache ls` shows it',
      exit: EXIT.notFound,
    });
  if (json) {
    process.stdout.write(`${JSON.stringify(found, undefined, 2)}\n`);
    return EXIT.done;
  }
  for (const { fields, ...facts } of found) {
    for (const [name, value] of Object.entries(facts))
      process.stdout.write(`${name.padEnd(13)} ${typeof value === 'object' ? JSON.stringify(value) : value}\n`);
    for (let i = 0; i < fields.length; i += 2) process.stdout.write(`  ${fields[i]}: ${fields[i + 1]}\n`);
  }
  return EXIT.done;
}

async function verify(volumes: readonly string[], json: boolean): Promise<number> {
  const bad: { key: string; bad: number; volume: string }[] = [];
  let count = 0;
  let bytes = 0;
  for await (const verified of verifyStored(volumes)) {
    count += 1;
    bytes += verified.storedBytes;
    if (verified.bad > 0) bad.push({ key: verified.response.key, bad: verified.bad, volume: verified.volume });
  }
  if (json) process.stdout.write(`${JSON.stringify({ responses: count, bytes, bad }, undefined, 2)}\n`);
  else {
    for (const one of bad) process.stdout.write(`bad  ${one.bad} pieces  ${one.key}  ${one.volume}\n`);
    process.stdout.write(`${count} responses, ${bytes} bytes, ${bad.length} with wrong bytes\n`);
  }
  return bad.length === 0 ? EXIT.done : EXIT.failed;
}

function purge(edge: string, url: string, soft: boolean): Promise<number> {
  const target = new URL(url);
  const { hostname, port } = new URL(edge);
  const fields = { host: target.host, ...(soft ? { 'nearcast-soft-purge': '1' } : {}) };
  return new Promise((resolve, reject) => {
    const fail = (message: string) =>
      reject(
        new Fault('edge-away', `${edge}: ${message}`, {
          source: 'operator',
          retry: true,
          fix: 'give --edge the address that the edge listens on',
          exit: EXIT.tryAgain,
        }),
      );
    const request = httpRequest(
      {
        host: hostname,
        port,
        method: 'PURGE',
        path: `${target.pathname}${target.search}`,
        headers: fields,
        timeout: ANSWER_MILLIS,
      },
      (response) => {
        response.resume();
        if (response.statusCode === 200) {
          process.stdout.write(`purged ${url}\n`);
          resolve(EXIT.done);
        } else
          reject(
            new Fault('purge-refused', `${edge} answered ${response.statusCode}`, {
              source: 'operator',
              fix: 'allow this address with --purge-from at the edge',
            }),
          );
      },
    );
    request.on('timeout', () => request.destroy(new Error('no answer in time')));
    request.on('error', (error) => fail(error.message));
    request.end();
  });
}

async function stat(admin: string, json: boolean): Promise<number> {
  const response = await fetch(`${admin}/v1/stat`, { signal: AbortSignal.timeout(ANSWER_MILLIS) }).catch(
    (error: unknown) => {
      throw new Fault('edge-away', `${admin}: ${error instanceof Error ? error.message : String(error)}`, {
        source: 'operator',
        retry: true,
        fix: 'give --admin the admin address of a running edge',
        exit: EXIT.tryAgain,
      });
    },
  );
  const { appliance, workers } = (await response.json()) as { appliance: string; workers: WorkerReport[] };
  if (json) {
    process.stdout.write(`${JSON.stringify({ appliance, workers }, undefined, 2)}\n`);
    return EXIT.done;
  }
  const [first] = workers;
  if (first === undefined)
    throw new Fault('no-report', `${appliance} has not reported yet`, {
      source: 'operator',
      retry: true,
      fix: 'ask again in a second',
      exit: EXIT.tryAgain,
    });
  const sum = (name: string, label?: string) =>
    workers.reduce((total, { counters }) => total + counted(counters[name], label), 0);
  const rows: [string, string][] = [
    ['appliance', `${appliance}, ${workers.length} workers`],
    ['requests', `${sum('requests_total')}, ${share(sum('requests_total', 'hit'), sum('requests_total'))} hits`],
    [
      'bytes',
      `${sum('response_bytes_total')}, ${share(sum('response_bytes_total', 'hit'), sum('response_bytes_total'))} from hits`,
    ],
    ['upstream', `${sum('upstream_requests_total')} requests, ${sum('upstream_bytes_total')} bytes`],
    [
      'memory',
      `${workers.reduce((total, { store }) => total + store.memory.bytes, 0)} of ${workers.reduce((total, { store }) => total + store.memory.budgetBytes, 0)} bytes`,
    ],
    [
      'disk',
      `${first.store.disk.bytes} of ${first.store.disk.budgetBytes} bytes, ${first.store.disk.responses} responses`,
    ],
    ['pinned', String(first.store.pinned)],
    ['evicted', `${workers.reduce((total, { store }) => total + store.evictedBytes, 0)} bytes`],
    [
      'faults',
      `${workers.reduce((total, { store }) => total + store.corruptSlices, 0)} corrupt slices, ${workers.reduce((total, { store }) => total + store.refusedWrites, 0)} refused writes`,
    ],
    ...first.store.volumes.map((volume): [string, string] => [
      'volume',
      `${volume.path}: ${volume.state}${volume.why === undefined ? '' : `, ${volume.why}`}, ${volume.bytes} bytes`,
    ]),
  ];
  for (const [name, value] of rows) process.stdout.write(`${name.padEnd(10)} ${value}\n`);
  return EXIT.done;
}

function counted(counter: number | Record<string, number> | undefined, label: string | undefined): number {
  if (counter === undefined) return 0;
  if (typeof counter === 'number') return counter;
  return label === undefined
    ? Object.values(counter).reduce((total, value) => total + value, 0)
    : (counter[label] ?? 0);
}

function share(part: number, whole: number): string {
  return whole === 0 ? '0 %' : `${((100 * part) / whole).toFixed(1)} %`;
}
