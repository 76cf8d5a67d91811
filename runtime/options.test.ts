import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Fault } from './errors.ts';
import { helpText, type OptionTable, optionsMarkdown, parseOptions } from './options.ts';

const TABLE = {
  listen: { kind: 'address', default: { host: '127.0.0.1', port: 8080 }, help: 'Where clients come.' },
  cacheDir: { kind: 'path', default: undefined, required: true, placeholder: 'DIR', help: 'Where bodies lie.' },
  memory: { kind: 'bytes', default: 268_435_456, min: 1_048_576, help: 'Budget of the memory tier.' },
  idleTimeout: { kind: 'duration', default: 65_000, help: 'Longest idle time.' },
  workers: { kind: 'integer', default: 1, min: 1, max: 64, help: 'Processes.' },
  share: { kind: 'number', default: 0.5, help: 'A share.' },
  upstream: { kind: 'urls', default: [], help: 'Where misses go.' },
  origin: { kind: 'url', default: undefined, help: 'The last upstream.' },
  query: { kind: 'string', default: 'keep', values: ['keep', 'drop'], help: 'What of the query is in the key.' },
  tags: { kind: 'list', default: [], help: 'Words.' },
  http2: { kind: 'boolean', default: true, help: 'Speaks HTTP/2.' },
} as const satisfies OptionTable;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nearcast-options-'));
});
afterAll(() => rm(folder, { recursive: true }));

const NEEDED = ['--cache-dir', '/c'];
const parse = (argv: readonly string[] = [], env: NodeJS.ProcessEnv = {}) =>
  parseOptions(TABLE, { part: 'edge', argv: [...NEEDED, ...argv], env });

async function yaml(text: string): Promise<string> {
  const file = join(folder, 'edge.yaml');
  await writeFile(file, text);
  return file;
}

function fault(run: () => unknown): Fault {
  try {
    run();
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
  throw new Error('it did not fail');
}

describe('precedence', () => {
  test('command line before environment before file before default', async () => {
    const file = await yaml('workers: 2\nshare: 0.2\nmemory: 2MiB\ncache-dir: /file\n');
    const options = parseOptions(TABLE, {
      part: 'edge',
      argv: ['--config', file, '--workers', '4'],
      env: { NEARCAST_EDGE_WORKERS: '3', NEARCAST_EDGE_SHARE: '0.3' },
    });
    expect(options).toMatchObject({ workers: 4, share: 0.3, memory: 2 << 20, cacheDir: '/file', idleTimeout: 65_000 });
  });

  test('--config goes before the file that the caller names', async () => {
    const file = await yaml('workers: 2\n');
    const input = { part: 'edge', env: {}, file: '/nowhere/edge.yaml' };
    expect(parseOptions(TABLE, { ...input, argv: [...NEEDED, '--config', file] }).workers).toBe(2);
    expect(fault(() => parseOptions(TABLE, { ...input, argv: NEEDED })).code).toBe('config-unreadable');
  });

  test('the environment of another part does not count', () => {
    expect(parse([], { NEARCAST_ORIGIN_WORKERS: '9' }).workers).toBe(1);
  });

  test('what comes out is frozen', () => {
    expect(Object.isFrozen(parse())).toBe(true);
    expect(Object.isFrozen(parse(['--tags', 'a,b']).tags)).toBe(true);
  });
});

describe('forms', () => {
  test.each([
    [['--memory', '10MB'], { memory: 10_000_000 }],
    [['--memory=4MiB'], { memory: 4 << 20 }],
    [['--idle-timeout', '500ms'], { idleTimeout: 500 }],
    [['--idle-timeout', '2m'], { idleTimeout: 120_000 }],
    [['--listen', '[::1]:0'], { listen: { host: '::1', port: 0 } }],
    [
      ['--upstream', 'http://a.example.org/,http://b.example.org', '--upstream', 'https://c.example.org'],
      { upstream: ['http://a.example.org', 'http://b.example.org', 'https://c.example.org'] },
    ],
    [['--tags', 'a', '--tags', 'b,c'], { tags: ['a', 'b', 'c'] }],
    [['--no-http2'], { http2: false }],
    [['--http2=false'], { http2: false }],
    [['--query', 'drop'], { query: 'drop' }],
    [['--share', '0.25'], { share: 0.25 }],
  ])('%j', (argv, parsed) => expect(parse(argv)).toMatchObject(parsed));

  test('a list may be a YAML list', async () => {
    const file = await yaml('cache-dir: /c\ntags: [a, b]\nupstream:\n  - http://a.example.org\n');
    expect(parseOptions(TABLE, { part: 'edge', argv: ['--config', file], env: {} })).toMatchObject({
      tags: ['a', 'b'],
      upstream: ['http://a.example.org'],
    });
  });

  test('an empty file and an absent option are no error', async () => {
    const file = await yaml('# nothing\n');
    expect(parse(['--config', file]).origin).toBeUndefined();
  });
});

describe('what is wrong is named with its place and the fix', () => {
  test.each([
    [['--memroy', '1GiB'], 'error: unknown-option: --memroy is unknown; did you mean --memory?'],
    [['--zzzzzzzzzz', '1'], 'error: unknown-option: --zzzzzzzzzz is unknown; see --help'],
    [['--no-htp2'], 'error: unknown-option: --no-htp2 is unknown; '],
    [['8080'], "error: unexpected-argument: '8080' is not an option of edge; see --help"],
    [['--workers'], 'error: option-value: --workers needs a value; give --workers N'],
    [['--workers', '1.5'], "error: option-value: --workers: '1.5' is not a whole number"],
    [['--workers', ''], "error: option-value: --workers: '' is not a whole number"],
    [['--workers', '65'], 'error: option-value: --workers: 65 is above the most, 64'],
    [['--memory', '1KiB'], 'error: option-value: --memory: 1024 is below the least, 1048576'],
    [['--memory', '1 apple'], "error: option-value: --memory: '1 apple' is not a size; give SIZE, e.g. 256MiB"],
    [['--idle-timeout', '5 moons'], "error: option-value: --idle-timeout: '5 moons' is not a time"],
    [['--listen', '127.0.0.1'], "error: option-value: --listen: '127.0.0.1' is not host:port"],
    [
      ['--origin', 'ftp://o.example.org'],
      "error: option-value: --origin: 'ftp://o.example.org' is not an http or https URL",
    ],
    [['--query', 'sort'], "error: option-value: --query: 'sort' is none of keep, drop"],
    [['--http2=maybe'], "error: option-value: --http2: 'maybe' is neither true nor false"],
    [['--no-memory'], 'error: option-value: --no-memory: only a switch can be negated'],
  ])('%j', (argv, line) => {
    const thrown = fault(() => parse(argv));
    expect(thrown.line().startsWith(line)).toBe(true);
    expect(thrown.exit).toBe(2);
  });

  test('a required option that nobody gives', () => {
    expect(fault(() => parseOptions(TABLE, { part: 'edge', argv: [], env: {} })).line()).toBe(
      'error: option-missing: --cache-dir is required; give --cache-dir DIR',
    );
  });

  test('a variable of the environment', () => {
    expect(fault(() => parse([], { NEARCAST_EDGE_WORKERS: 'many' })).message).toBe(
      "NEARCAST_EDGE_WORKERS: 'many' is not a whole number",
    );
  });

  test.each([
    ['memory: 2MiB\nworkers: 1\n\nwrokers: 2\n', ":4:1: key 'wrokers' is unknown", 'did you mean workers?'],
    ['memory: 2MiB\nworkers: lots\n', ":2:1: workers: 'lots' is not a whole number", 'give N, e.g. 1'],
    ['workers: 1\nmemory: {a: 1}\n', ':2:1: memory: must be a single value', 'give SIZE'],
    ['workers: 1\n  memory: 2\n', ':1:', 'correct the YAML there'],
    ['workers: 1\nworkers: 2\n', ':2:1: ', 'correct the YAML there'],
    ['- workers\n', ': the top must be a map of options', 'write `option: value` lines'],
  ])('the line and column of a file: %j', async (text, message, fix) => {
    const file = await yaml(text);
    const thrown = fault(() => parse(['--config', file]));
    expect(thrown.message.startsWith(file)).toBe(true);
    expect(thrown.message).toContain(message);
    expect(thrown.fix).toBe(fix);
    expect(thrown.exit).toBe(2);
  });

  test('a key of an object prototype is an unknown option like any other', async () => {
    expect(fault(() => parse(['--constructor', '1'])).code).toBe('unknown-option');
    const file = await yaml('__proto__: 1\n');
    expect(fault(() => parse(['--config', file])).code).toBe('unknown-option');
  });
});

test('help and the table of a README name every option with its default', () => {
  const help = helpText(TABLE, 'edge');
  const markdown = optionsMarkdown(TABLE);
  for (const [flag, fallback] of [
    ['--listen HOST:PORT', '127.0.0.1:8080'],
    ['--memory SIZE', '256MiB'],
    ['--idle-timeout TIME', '65s'],
    ['--query keep|drop', 'keep'],
    ['--origin URL', 'none'],
  ] as const) {
    expect(help).toMatch(new RegExp(`${flag.replaceAll('|', '\\|')} .*\\(default ${fallback}\\)`));
    expect(markdown).toContain(`| \`${flag.split(' ')[0]}\` | ${fallback} |`);
  }
  expect(help).toMatch(/--cache-dir DIR .*\(required\)/);
  expect(help).toContain('NEARCAST_EDGE_<OPTION>');
  expect(markdown.split('\n')).toHaveLength(2 + Object.keys(TABLE).length);
});
