import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { readConfigText } from '../runtime/config-file.ts';
import { Fault } from '../runtime/errors.ts';
import { policyAt } from './cache/policy.ts';
import { readConfiguration, sectionProblems } from './configuration.ts';
import { EDGE_OPTIONS } from './options.ts';
import { EDGE_SECTIONS } from './service-options.ts';
import { servicePolicy } from './service-policy.ts';

const SHAPE = { ...EDGE_OPTIONS, ...EDGE_SECTIONS };
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'nearcast-configuration-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const read = (text: string, argv: readonly string[] = [], env: NodeJS.ProcessEnv = {}) => {
  const file = join(folder, 'edge.yaml');
  writeFileSync(file, text);
  return readConfiguration(['--config', file, ...argv], env);
};
const problemsOf = (text: string): string[] => {
  const document = readConfigText(text, 'edge.yaml', SHAPE);
  return [...document.problems, ...(document.problems.length > 0 ? [] : sectionProblems(document))].map((one) =>
    one.line(),
  );
};

const FILMS = `upstream: http://127.0.0.1:8000
services:
  - name: films
    hosts: [films.example.org, '*.films.example.org']
    upstreams: http://127.0.0.1:8001
    profile: rfc
    canonical-host: Films.example.org
    default-ttl: 10m
    status-ttl: { 404: 1m, 302: 30s }
    query-except: [utm_source]
    ignored-request-headers: [Cookie]
    set-cookie: strip
    request-directives: ignore
    heuristics: false
    paths:
      - prefix: /live/
        default-ttl: 2s
      - prefix: /live/archive/
        max-ttl: 1h
    compression: { encodings: [br], minimum: 256 }
`;

describe('a service', () => {
  test('is its profile with what it says, and other lifetimes below its prefixes', () => {
    const { services, options } = read(FILMS);
    const policy = servicePolicy(services[0]!, options);
    expect(policy).toMatchObject({
      profile: 'rfc',
      canonicalHost: 'films.example.org',
      defaultTtlMillis: 600_000,
      setCookie: 'strip',
      honourRequestDirectives: false,
      heuristics: false,
      storePost: true,
    });
    expect(policy.query).toEqual({ kind: 'except', names: new Set(['utm_source']) });
    expect(policy.ignoredRequestFields.has('cookie')).toBe(true);
    expect(policy.statusTtlMillis.get(404)).toBe(60_000);
    expect(policyAt(policy, '/live/x').defaultTtlMillis).toBe(2_000);
    expect(policyAt(policy, '/live/archive/x')).toMatchObject({ defaultTtlMillis: 600_000, maxTtlMillis: 3_600_000 });
    expect(policyAt(policy, '/lives')).toBe(policy);
  });

  test('has the profile and upstreams of the edge where it names none', () => {
    const { services, options } = read('upstream: http://a.example.org\nservices: [{ name: a, hosts: "*" }]\n', [
      '--profile',
      'rfc',
    ]);
    expect(servicePolicy(services[0]!, options).profile).toBe('rfc');
    expect(services[0]!.upstreams).toBeUndefined();
  });
});

test('the command line goes before the environment before the file, and each value knows where it is from', () => {
  const { options, sources } = read(
    'memory: 2MiB\nprofile: rfc\nworkers: 2\nupstream: http://a.example.org\n',
    ['--workers', '4'],
    {
      NEARCAST_EDGE_WORKERS: '3',
      NEARCAST_EDGE_PROFILE: 'safe',
    },
  );
  expect(options).toMatchObject({ memory: 2 << 20, profile: 'safe', workers: 4 });
  expect(sources).toMatchObject({
    memory: `${join(folder, 'edge.yaml')}:1:1: memory`,
    profile: 'NEARCAST_EDGE_PROFILE',
    workers: '--workers',
    disk: 'default',
  });
});

describe('what is wrong is named with file, line, column, key and the nearest right name', () => {
  const service = (more: string) => `services:\n  - name: a\n    hosts: [a.example.org]\n${more}`;
  test.each([
    ['memroy: 1GiB\n', "error: unknown-option: edge.yaml:1:1: key 'memroy' is unknown; did you mean memory?"],
    [
      service('    cannonical-host: b\n'),
      "unknown-option: edge.yaml:4:5: key 'services[0].cannonical-host' is unknown; did you mean canonical-host?",
    ],
    [
      service('    compression:\n      type: text/css\n'),
      "edge.yaml:5:7: key 'services[0].compression.type' is unknown; did you mean types?",
    ],
    [
      service('    compression: { encodings: [gzip, brotli] }\n'),
      "edge.yaml:4:20: services[0].compression.encodings: 'brotli' is none of zstd, br, gzip",
    ],
    [
      service('    default-ttl: soon\n'),
      "option-value: edge.yaml:4:5: services[0].default-ttl: 'soon' is not a time; give TIME",
    ],
    [service('    default-ttl:\n'), 'edge.yaml:4:5: services[0].default-ttl: has no value; give TIME'],
    [service('    status-ttl: { 99: 1s }\n'), "edge.yaml:4:19: services[0].status-ttl: '99' is no status"],
    [service('    status-ttl: { 404: x }\n'), "edge.yaml:4:19: services[0].status-ttl.404: 'x' is not a time"],
    ['services:\n  - name: a\n', 'option-missing: edge.yaml:2:5: services[0].hosts is missing; give hosts: HOST'],
    ['services: { name: a }\n', 'edge.yaml:1:1: services: must be a list'],
    ['services: [a]\n', 'edge.yaml:1:12: services[0]: must be a map'],
    [service('    name: b\n'), 'config-syntax: edge.yaml:4:5: '],
    [
      service('  - name: a\n    hosts: [b.example.org]\n'),
      "edge.yaml:4:5: services[1].name: 'a' is the name of two services",
    ],
    [
      service('  - name: b\n    hosts: [A.example.org]\n'),
      "edge.yaml:5:5: services[1].hosts: 'a.example.org' is service a's",
    ],
    [
      service('  - name: b\n    hosts: ["*"]\n    canonical-host: a.example.org\n'),
      "edge.yaml:6:5: services[1].canonical-host: 'a.example.org' is service a's",
    ],
    [service('  - name: b\n    hosts: [a.example.org:80]\n'), "services[1].hosts: 'a.example.org:80' is no host"],
    [
      service('    query: drop\n    query-only: [a]\n'),
      'edge.yaml:5:5: services[0].query-only: is beside another rule for the query',
    ],
    [service('    min-ttl: 2m\n    max-ttl: 1m\n'), 'edge.yaml:4:5: services[0].min-ttl: is above max-ttl'],
    [service('    methods: [POST, TRACE]\n'), "services[0].methods: 'TRACE' can't go to an origin"],
    [service('    paths: [{ prefix: live }]\n'), "edge.yaml:4:15: services[0].paths[0].prefix: 'live' is no path"],
    ['services:\n  - name: A b\n    hosts: [a]\n', "services[0].name: 'A b' is no name"],
    ['tls: [{ certificate: a.pem }]\n', 'option-missing: edge.yaml:1:7: tls[0].key is missing'],
    ['tls: [{ certificate: a, key: b, hosts: "a b" }]\n', "edge.yaml:1:33: tls[0].hosts: 'a b' is no host"],
    ['memory: *b\n', 'option-value: edge.yaml:1:1: memory: must be a single value'],
  ])('%j', (text, line) => expect(problemsOf(text).join('\n')).toContain(line));

  test.each([
    [service(''), [], 'service a has no upstreams'],
    ['memory: 2MiB\n', [], '--upstream is required'],
    ['upstream: http://a\nlisten-tls: 127.0.0.1:0\n', [], '--listen-tls needs a certificate'],
    ['upstream: http://a\n', ['--tls-cert', 'x'], '--tls-cert and --tls-key go together'],
    [`upstream: http://a\n${service('')}`, ['--canonical-host', 'b'], '--canonical-host beside services'],
    [`upstream: http://a\n${service('')}`, ['--control', 'http://c'], "no service answers for '127.0.0.1'"],
  ])('together: %j %j', (text, argv, message) => {
    expect(() => read(text, argv)).toThrow(message);
  });
});

describe('any text', () => {
  const anyValue = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      fc.string({ unit: 'binary', maxLength: 20 }),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
      fc.constantFrom('*', '*.example.org', '10m', 'keep', '/a', 'GET', '__proto__'),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(
        fc.constantFrom(
          'name',
          'hosts',
          'paths',
          'prefix',
          'compression',
          'types',
          'status-ttl',
          '404',
          'tls',
          'x',
          '__proto__',
        ),
        tie('value'),
        { maxKeys: 6 },
      ),
    ),
  })).value;

  test('is a configuration or problems with a place, never a throw', () => {
    const holds = (text: string) => {
      for (const problem of problemsOf(text)) expect(problem).toMatch(/^error: [a-z-]+: edge\.yaml/);
    };
    fc.assert(fc.property(fc.string({ unit: 'binary' }), holds), { numRuns: 500 });
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom('services', 'tls', 'upstream', 'memory'), anyValue), (value) =>
        holds(stringify(value)),
      ),
      { numRuns: 500 },
    );
    const pieces = fc.constantFrom(
      'services:',
      '\n',
      '  ',
      '- ',
      'name',
      ': ',
      '&a',
      '*a',
      '[',
      ']',
      '{',
      '}',
      '!!set ',
      '"',
      "'",
      '<<',
      '? ',
      '|',
      '#',
      '%',
      '---',
      'a',
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 30 }), (words) => holds(words.join(''))),
      { numRuns: 1000 },
    );
  });

  test('a file of problems stops the edge with the first of them', () => {
    expect(() => read('upstream: http://a\nservices: 1\n')).toThrow(Fault);
  });

  test('anchors are read where they are used, also ones that hold themselves', () => {
    expect(
      problemsOf('services:\n  - &a\n    name: a\n    hosts: &h [a.example.org]\n  - { name: b, hosts: *h }\n').join(),
    ).toContain("is service a's");
    expect(problemsOf('services: &a\n  - name: a\n    hosts: [b]\n    paths: *a\n').length).toBeGreaterThan(0);
  });
});

test('the example of the README is a good configuration', () => {
  const readme = readFileSync(join(import.meta.dirname, 'README.md'), 'utf8');
  const [, example] = /```yaml\n([\s\S]*?)```/.exec(readme) ?? [];
  expect(problemsOf(example ?? '')).toEqual([]);
  expect(read(example ?? '').services.map(({ name }) => name)).toEqual(['films', 'site']);
});
