import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { COMMANDS, choice, overview } from './commands.ts';
import { check } from './config-check.ts';

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
    expect(await check(path)).toBe(`${path}: good for origin, 2 options`);
  });

  test('a file with sites is a topology', async () => {
    const path = await file('sites.yaml', 'sites:\n  - id: a\n    prefixes: [127.0.0.0/16]\n');
    expect(await check(path)).toBe(`${path}: a good topology of 1 sites: a`);
  });

  test('a wrong key is named with its file, line, column and the nearest right name', async () => {
    const path = await file('edge.yaml', 'upstream: http://127.0.0.1:8000\nmemroy: 1GiB\n');
    await expect(check(path)).rejects.toMatchObject({
      exit: 2,
      message: expect.stringContaining(`${path}:2:1: key 'memroy'`),
      fix: 'did you mean memory?',
    });
  });

  test('a file that is not there is exit code 3', async () => {
    await expect(check(join(folder, 'none.yaml'))).rejects.toMatchObject({ code: 'config-unreadable', exit: 3 });
  });
});
