import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { FillProgress } from '../control-plane/api.ts';
import { type Clock, systemClock } from '../runtime/clock.ts';
import { type CommandTerminal, run } from './command.ts';
import { NO_FILL } from './progress.ts';
import { bytesText, progressLine } from './receipt.ts';

const fillOf = (changes: Partial<FillProgress> = {}): FillProgress => ({
  ...NO_FILL,
  manifestVersion: 4,
  state: 'done',
  assetsPlanned: 10,
  assetsDone: 10,
  bytesPlanned: 2_000_000,
  bytesDone: 2_000_000,
  bytesBySource: { peer: 1_500_000, region: 500_000, origin: 0 },
  ...changes,
});
const one = (id: string, fill: Partial<FillProgress> = {}) => ({ id, site: id[0]!, fill: fillOf(fill) });

type Answer = { status: number; body: unknown };
/** A control plane that answers each status request with the next of a list, the last again and again. */
class FakeControl {
  readonly runs: unknown[] = [];
  runAnswer: Answer = { status: 202, body: { version: 4, manifests: [{ appliance: 'b1' }, { appliance: 'a1' }] } };
  token: string | undefined;
  statuses: Answer[] = [];
  asked = 0;
  readonly server: Server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    let answer: Answer = { status: 404, body: 'nothing here' };
    this.token = request.headers.authorization;
    if (request.method === 'POST' && request.url === '/v1/fill/run') {
      this.runs.push(JSON.parse(Buffer.concat(chunks).toString()));
      answer = this.runAnswer;
    } else if (request.method === 'GET' && request.url === '/v1/fill/status')
      answer = this.statuses[Math.min(this.asked++, this.statuses.length - 1)]!;
    response.writeHead(answer.status, { connection: 'close' });
    response.end(typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body));
  });

  show(...lists: ReturnType<typeof one>[][]): void {
    this.statuses = lists.map((list) => ({
      status: 200,
      body: { appliances: list.map(({ id, site, fill }) => ({ id, site, progress: fill })) },
    }));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }
}

/** A thousand times as fast. */
const hurried: Clock = {
  now: () => systemClock.now(),
  monotonic: () => systemClock.monotonic() * 1000,
  after: (millis, callback) => systemClock.after(millis / 1000, callback),
  every: (millis, callback) => systemClock.every(millis / 1000, callback),
};

let control: FakeControl;
let folder: string;
beforeEach(async () => {
  control = new FakeControl();
  await new Promise<void>((resolve) => control.server.listen(0, '127.0.0.1', resolve));
  folder = await mkdtemp(join(tmpdir(), 'nearcast-fill-'));
});
afterEach(async () => {
  control.server.closeAllConnections();
  await new Promise((resolve) => control.server.close(resolve));
  await rm(folder, { recursive: true });
});

async function command(argv: readonly string[], changes: Partial<CommandTerminal> & { tty?: boolean } = {}) {
  const out: string[] = [];
  const talk: string[] = [];
  const code = await run(argv, {
    stdout: { write: (text) => out.push(text) },
    stderr: { write: (text) => talk.push(text), isTTY: changes.tty ?? false },
    env: { NEARCAST_CONTROL: control.url },
    cwd: folder,
    clock: hurried,
    ...changes,
  });
  return { code, out: out.join(''), talk: talk.join('') };
}

test('run waits until every appliance is done and prints the receipt', async () => {
  control.show(
    [one('a1', { manifestVersion: 3 }), one('b1', { manifestVersion: 0, state: 'idle' })],
    [one('a1', { state: 'filling', bytesDone: 5 }), one('b1')],
    [one('c9'), one('b1'), one('a1')],
  );
  const { code, out, talk } = await command(['run', '--now', '--site', 'a']);
  expect(control.runs).toEqual([{ now: true, site: 'a' }]);
  expect(control.asked).toBe(3);
  expect(code).toBe(0);
  expect(out.split('\n')).toEqual([
    'appliance  site  state  assets   bytes  from peer  from region  from origin  failed',
    'a1         a     done    10/10  2.0 MB     1.5 MB     500.0 kB          0 B       0',
    'b1         b     done    10/10  2.0 MB     1.5 MB     500.0 kB          0 B       0',
    'total                    20/20  4.0 MB     3.0 MB       1.0 MB          0 B       0',
    '',
  ]);
  expect(talk).toBe('fill 4: b1, a1\nb1 done: 10 of 10 assets\na1 done: 10 of 10 assets\n');
});

test('a failed asset is in the receipt and in the exit code', async () => {
  const failures = [{ path: '/film/1.m4s', why: 'origin origin: refused (404)' }];
  control.show([one('a1', { assetsDone: 9, failures }), one('b1')]);
  const { code, out } = await command(['run', '--now']);
  expect(code).toBe(1);
  expect(out).toContain('\n\na1  /film/1.m4s  origin origin: refused (404)\n');
  expect(out).toMatch(/^total .* 19\/20 .* 1$/m);
});

test('--json is the same as an object, and only that is on stdout', async () => {
  control.show([one('a1'), one('b1')]);
  const { out } = await command(['run', '--now', '--json']);
  expect(JSON.parse(out)).toEqual({ version: 4, appliances: [one('a1'), one('b1')] });
});

test('the token of a file goes with every request, and a file that is not there is said', async () => {
  const file = join(folder, 'token');
  await writeFile(file, 'secret\n');
  control.show([one('a1')]);
  expect(await command(['status', '--token-file', file])).toMatchObject({ code: 0 });
  expect(control.token).toBe('Bearer secret');
  expect(await command(['status', '--token-file', `${file}s`])).toMatchObject({
    code: 2,
    talk: `error: token-unreadable: ${file}s: ENOENT; give --token-file a file that this user may read\n`,
  });
});

test('--no-wait answers the version at once', async () => {
  expect(await command(['run', '--now', '--no-wait'])).toMatchObject({ code: 0, out: '4\n' });
  expect(control.asked).toBe(0);
});

test('without --now, appliances that wait for their window are an end too', async () => {
  control.show([one('a1', { state: 'paused', assetsDone: 0, bytesDone: 0 }), one('b1')]);
  const { code, talk } = await command(['run']);
  expect(control.runs).toEqual([{ now: false }]);
  expect(code).toBe(0);
  expect(talk).toContain('a1 waits for its window');
});

test('what is not done in time ends with 75 and names who is missing, those that vanished too', async () => {
  control.show([one('a1')]);
  const { code, out, talk } = await command(['run', '--now', '--timeout', '30s']);
  expect(code).toBe(75);
  expect(talk).toContain('error: fill-unfinished: b1 did not finish within --timeout');
  expect(out).toContain('b1');
});

test('a control plane that is away for a moment does not end the wait', async () => {
  control.show([one('a1'), one('b1')]);
  control.statuses = [{ status: 503, body: { title: 'starting' } }, ...control.statuses];
  expect(await command(['run', '--now'])).toMatchObject({ code: 0 });
});

test('one that stays away ends it with 75', async () => {
  control.statuses = [{ status: 503, body: { title: 'starting' } }];
  const { code, talk } = await command(['run', '--now']);
  expect(code).toBe(75);
  expect(talk).toContain('error: starting: the control plane answers 503');
});

test('on a terminal there is a bar, elsewhere none', async () => {
  control.show([one('a1', { state: 'filling', bytesDone: 0 }), one('b1')], [one('a1'), one('b1')]);
  const { talk } = await command(['run', '--now'], { tty: true });
  expect(talk).toContain('[############------------] 50 %  2.0 MB of 4.0 MB  1 of 2 appliances');
  expect(talk.endsWith('100 %  4.0 MB of 4.0 MB  2 of 2 appliances\n')).toBe(true);
});

test('status prints every appliance', async () => {
  control.show([one('a1'), one('b1', { state: 'filling', assetsDone: 3 })]);
  const { code, out } = await command(['status']);
  expect(code).toBe(0);
  expect(out).toMatch(/^b1 +b +filling +3\/10 /m);
});

test('--control goes before NEARCAST_CONTROL, and that before the box that was started here', async () => {
  await mkdir(join(folder, '.nearcast', 'box'), { recursive: true });
  await writeFile(join(folder, '.nearcast', 'box', 'endpoints.json'), JSON.stringify({ control: `${control.url}/` }));
  control.show([one('a1')]);
  const nowhere = 'http://127.0.0.1:9';
  expect((await command(['status'], { env: {} })).code).toBe(0);
  expect((await command(['status'], { env: { NEARCAST_CONTROL: nowhere } })).code).toBe(75);
  expect((await command(['status', '--control', control.url], { env: { NEARCAST_CONTROL: nowhere } })).code).toBe(0);
});

test.each([
  [
    'away',
    ['status', '--control', 'http://127.0.0.1:9'],
    75,
    'error: control-away: the control plane at http://127.0.0.1:9 (from --control) does not answer',
  ],
  [
    'not a URL',
    ['status', '--control', 'localhost'],
    2,
    "error: option-value: --control: 'localhost' is not an http or https URL",
  ],
  ['an unknown option', ['run', '--nwo'], 2, 'error: unknown-option: --nwo is unknown; did you mean --now?'],
  ['an unknown verb', ['stauts'], 2, 'error: unknown-command: nearcast fill stauts; did you mean status?'],
])('%s is one clear line', async (_, argv, code, line) => {
  const ended = await command(argv);
  expect(ended.talk.startsWith(line)).toBe(true);
  expect(ended.talk.trimEnd().split('\n')).toHaveLength(1);
  expect(ended).toMatchObject({ code, out: '' });
});

test.each([
  ['plain 404', { status: 404, body: 'nothing here' }, 1, 'not-a-control-plane'],
  ['a page', { status: 200, body: '<html>' }, 1, 'not-a-control-plane'],
  ['another shape', { status: 200, body: { appliances: [{ id: 'a1' }] } }, 1, 'not-a-control-plane'],
  ['null', { status: 200, body: 'null' }, 1, 'not-a-control-plane'],
  ['no appliances', { status: 200, body: { appliances: [] } }, 1, 'no-appliances'],
])('a control plane that answers %s is named as such', async (_, answer, code, word) => {
  control.statuses = [answer];
  const ended = await command(['status']);
  expect(ended.code).toBe(code);
  expect(ended.talk).toContain(`error: ${word}: `);
});

test('a site without edges is told from a control plane without any', async () => {
  control.runAnswer = { status: 202, body: { version: 4, manifests: [] } };
  expect(await command(['run', '--now', '--site', 'z'])).toMatchObject({ code: 3 });
  expect(await command(['run', '--now'])).toMatchObject({ code: 1 });
  control.runAnswer = {
    status: 404,
    body: { title: 'no-such-site', detail: "there is no site 'z'", fix: 'see GET /v1/sites' },
  };
  const { code, talk } = await command(['run', '--now', '--site', 'z']);
  expect(code).toBe(3);
  expect(talk).toBe("error: no-such-site: there is no site 'z'; see GET /v1/sites\n");
});

test('help says what each verb does and every option', async () => {
  expect((await command(['--help'])).out).toContain('nearcast fill run --now');
  expect((await command(['run', '--help'])).out).toContain('--timeout TIME');
  expect(await command([])).toMatchObject({ code: 2, out: '' });
});

test('a process that only waits stays until the fill is done', async () => {
  control.show([one('a1', { state: 'filling' })], [one('a1', { state: 'filling' })], [one('a1'), one('b1')]);
  const module = join(import.meta.dirname, 'command.ts');
  const script = `import { run } from ${JSON.stringify(module)}; process.exitCode = await run(['run', '--now']);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    env: { ...process.env, NEARCAST_CONTROL: control.url },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let out = '';
  child.stdout.on('data', (chunk) => {
    out += chunk;
  });
  const code = await new Promise((resolve) => child.on('close', resolve));
  expect(code).toBe(0);
  expect(out).toContain('total');
});

test('sizes are written in decimal units', () => {
  expect([0, 999, 1000, 999_949, 999_950, 6.5e12].map(bytesText)).toEqual([
    '0 B',
    '999 B',
    '1.0 kB',
    '999.9 kB',
    '1.0 MB',
    '6.5 TB',
  ]);
  expect(progressLine([])).toContain(' 0 %  0 B of 0 B  0 of 0 appliances');
});
