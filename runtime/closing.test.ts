import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Closing } from './closing.ts';
import { Fault, listenFault } from './errors.ts';

test('what was opened last is closed first, each after the one before has ended', async () => {
  const order: string[] = [];
  const closing = new Closing();
  for (const name of ['store', 'server', 'link'])
    closing.add(name, {}, async () => {
      order.push(`${name} begins`);
      await new Promise((resolve) => setImmediate(resolve));
      order.push(`${name} ends`);
    });
  const outcomes = await closing.close();
  expect(order).toEqual(['link begins', 'link ends', 'server begins', 'server ends', 'store begins', 'store ends']);
  expect(outcomes.map(({ name, ended }) => `${name} ${ended}`)).toEqual([
    'link closed',
    'server closed',
    'store closed',
  ]);
});

test('one that fails or hangs does not keep the others open', async () => {
  const closing = new Closing();
  let closed = false;
  closing.add('first', {}, () => {
    closed = true;
  });
  closing.add('hanging', {}, () => new Promise(() => undefined));
  closing.add('failing', {}, () => {
    throw new Error('EIO');
  });
  const outcomes = await closing.close(20);
  expect(outcomes.map(({ name, ended }) => `${name} ${ended}`)).toEqual([
    'failing failed',
    'hanging deadline',
    'first closed',
  ]);
  expect(outcomes[0]!.error).toEqual(new Error('EIO'));
  expect(closed).toBe(true);
});

test('closing twice closes once, and both wait for it', async () => {
  let times = 0;
  const closing = new Closing();
  closing.add('store', {}, () => void times++);
  const [one, two] = await Promise.all([closing.close(), closing.close()]);
  expect(one).toBe(two);
  expect(times).toBe(1);
});

test('add gives the resource back', () => {
  const resource = { port: 1 };
  expect(new Closing().add('server', resource, () => undefined)).toBe(resource);
});

test.each([
  ['SIGTERM', 'drain', 0],
  ['SIGINT', 'fast', 0],
])('%s ends a process by its %s action with exit code %d', async (signal, action, code) => {
  const ended = await signalled(
    `{ drain: async () => console.log('drain'), fast: async () => console.log('fast') }`,
    signal,
  );
  expect(ended).toEqual({ code, out: `${action}\n` });
});

test('a closing that throws ends a process with exit code 1', async () => {
  const ended = await signalled(`{ drain: async () => { throw new Error('EIO') }, fast: async () => {} }`, 'SIGTERM');
  expect(ended.code).toBe(1);
});

test('a second signal ends at once a process whose closing hangs', async () => {
  const ended = await signalled(
    `{ drain: () => { process.send('draining'); return new Promise(() => {}); }, fast: async () => {} }`,
    'SIGTERM',
    'SIGINT',
  );
  expect(ended.code).toBe(1);
});

/** Runs a process that stays, sends it a signal for each message that it sends, and waits for its end. */
async function signalled(actions: string, ...signals: string[]): Promise<{ code: number | null; out: string }> {
  const module = join(import.meta.dirname, 'closing.ts');
  const script = `import { onSignals } from ${JSON.stringify(module)};
    onSignals(${actions}); setInterval(() => {}, 1e9); process.send('ready');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'ignore', 'ipc'],
  });
  let out = '';
  child.stdout!.on('data', (chunk) => {
    out += chunk;
  });
  child.on('message', () => void child.kill(signals.shift() as NodeJS.Signals));
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { code, out };
}

test('a fault is one line with code, place and fix', () => {
  const fault = new Fault('bucket-missing', 'bucket films does not exist', { source: 'operator', fix: 'create it' });
  expect(fault.line()).toBe('error: bucket-missing: bucket films does not exist; create it');
  expect(fault).toMatchObject({ exit: 1, retry: false });
  expect(new Fault('x', 'y', { source: 'disk' }).line()).toBe('error: x: y');
});

test('a port in use and an address that is not ours are faults with the option to change', () => {
  const at = (code: string) => listenFault(Object.assign(new Error(code), { code }), '127.0.0.1:80', 'listen') as Fault;
  expect(at('EADDRINUSE')).toMatchObject({ code: 'port-in-use', exit: 4 });
  expect(at('EADDRINUSE').line()).toContain('--listen');
  expect(at('EADDRNOTAVAIL').code).toBe('cannot-listen');
  const other = new Error('EMFILE');
  expect(listenFault(other, '127.0.0.1:80', 'listen')).toBe(other);
});
