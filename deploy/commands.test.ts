import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { COMMANDS, choice, overview } from './commands.ts';
import { check } from './config-check.ts';
import { schemaText } from './config-parts.ts';
import { effective } from './config-show.ts';
import { PUBLISHED_SCHEMAS } from './document.ts';

describe('the command line', () => {
  test.each([
    [[], 'help'],
    [['--help'], 'help'],
    [['--version'], 'version'],
    [['egde'], 'unknown'],
    [['config'], 'unknown'],
    [['toString'], 'unknown'],
    [['edge', '--listen', ':1'], 'run'],
    [['config', 'check', 'a.yaml'], 'run'],
  ])('%j is %s', (argv, kind) => {
    expect(choice(argv).kind).toBe(kind);
  });

  test('a command of two words gets what follows both', () => {
    expect(choice(['config', 'check', 'a.yaml'])).toEqual({
      kind: 'run',
      command: COMMANDS['config check'],
      argv: ['a.yaml'],
    });
  });

  test('help names every command with an example', () => {
    for (const [words, { example }] of Object.entries(COMMANDS)) {
      expect(overview()).toContain(`  ${words}`);
      expect(example.startsWith(`nearcast ${words}`)).toBe(true);
    }
  });

  const launcher = join(import.meta.dirname, 'nearcast.js');
  const nearcast = (...words: string[]) =>
    spawnSync(process.execPath, [launcher, ...words], { encoding: 'utf8', timeout: 30_000 });

  test('a mistyped command is one line with the nearest word, and exit code 2', () => {
    const { status, stdout, stderr } = nearcast('orgin');
    expect({ status, stdout, stderr }).toEqual({
      status: 2,
      stdout: '',
      stderr: "error: unknown-command: 'orgin' is unknown; did you mean origin?\n",
    });
  });

  test('a fault of a part is one line and its exit code, through the launcher', () => {
    const { status, stderr } = nearcast('origin', '--s3-buckte', 'films');
    expect(status).toBe(2);
    expect(stderr).toBe('error: unknown-option: --s3-buckte is unknown; did you mean --s3-bucket?\n');
  });
});

describe('config check', () => {
  let folder: string;
  const file = async (name: string, text: string) => {
    const path = join(folder, name);
    await writeFile(path, text);
    return path;
  };
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'nearcast-config-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test('tells the part from the keys, and does not ask for what the command line may give', async () => {
    const path = await file('origin.yaml', 's3-endpoint: http://127.0.0.1:9000\ns3-connections: 8\n');
    expect(await check(path)).toEqual({ sentence: `${path}: good for origin, 2 options`, faults: [] });
  });

  test('a file with sites is a topology', async () => {
    const path = await file('sites.yaml', 'sites:\n  - id: a\n    prefixes: [127.0.0.0/16]\n');
    expect(await check(path)).toEqual({ sentence: `${path}: a good topology of 1 sites: a`, faults: [] });
  });

  test('a wrong key is named with its file, line, column and the nearest right name', async () => {
    const path = await file('edge.yaml', 'upstream: http://127.0.0.1:8000\nmemroy: 1GiB\n');
    expect((await check(path)).faults).toMatchObject([
      { exit: 2, message: `${path}:2:1: key 'memroy' is unknown`, fix: 'did you mean memory?' },
    ]);
  });

  test('every fault of services is told, not the first alone', async () => {
    const path = await file(
      'services.yaml',
      'services:\n  - name: A\n    hosts: [a b]\n  - name: b\n    hosts: [b.example.org]\n    query: drop\n    query-only: [x]\n',
    );
    expect((await check(path)).faults.map(({ message }) => message.slice(path.length))).toEqual([
      ":2:5: services[0].name: 'A' is no name",
      ":3:5: services[0].hosts: 'a b' is no host",
      ':7:5: services[1].query-only: is beside another rule for the query',
    ]);
  });

  test('a certificate that can\u2019t be used here is exit code 1', async () => {
    const path = await file('tls.yaml', 'tls: [{ certificate: /nowhere.pem, key: /nowhere.key }]\n');
    expect((await check(path)).faults).toMatchObject([{ exit: 1, code: 'certificate' }]);
  });

  test('a file that is not there is exit code 3', async () => {
    await expect(check(join(folder, 'none.yaml'))).rejects.toMatchObject({ code: 'config-unreadable', exit: 3 });
  });
});

describe('config show', () => {
  test('says each value and where it comes from, without passwords', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'nearcast-config-'));
    try {
      const path = join(folder, 'edge.yaml');
      await writeFile(
        path,
        'upstream: http://user:secret@a.example.org\nservices: [{ name: a, hosts: "*", default-ttl: 1m, upstreams: "http://k@b" }]\n',
      );
      const shown = effective('edge', ['--config', path, '--workers', '2'], { NEARCAST_EDGE_DISK: '1GiB' });
      expect(shown.options).toMatchObject({
        upstream: { value: ['http://***@a.example.org'], from: `${path}:1:1: upstream` },
        workers: { value: 2, from: '--workers' },
        disk: { value: 1 << 30, from: 'NEARCAST_EDGE_DISK' },
        listen: { value: '127.0.0.1:8080', from: 'default' },
      });
      expect(shown.services).toEqual([{ name: 'a', hosts: ['*'], 'default-ttl': 60_000, upstreams: ['http://***@b'] }]);
      expect(JSON.stringify(shown)).not.toContain('secret');
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  test('the published schemas are those of the tables (write them with: node deploy/document.ts)', () => {
    for (const part of PUBLISHED_SCHEMAS)
      expect(readFileSync(join(import.meta.dirname, `${part}.schema.json`), 'utf8')).toBe(schemaText(part));
  });
});
