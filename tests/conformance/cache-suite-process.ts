/**
 * Runs the public caching suite (`http-cache-tests`) once, in a process of its own, since the suite keeps its results
 * and marks its requests in module state. Its origin is the suite's own handlers on a loopback port. Talks over IPC:
 * sends `{ origin }`, is told `{ base }`, sends `{ results }`. Arguments are ids of the tests to run (and what they
 * build on); without any, all.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A test's answer to itself, and what it amounts to: `required`, `optimal` and `check` are the suite's kinds. */
export interface SuiteResult {
  readonly id: string;
  readonly kind: 'required' | 'optimal' | 'check';
  /** yes and no answer a `check`; `skipped`: a test that it builds on failed. */
  readonly outcome: 'pass' | 'fail' | 'yes' | 'no' | 'skipped' | 'harness';
  readonly detail: string;
}

type SuiteHandler = (path: string[], request: IncomingMessage, response: ServerResponse) => void;
interface SuiteTest {
  readonly id: string;
  readonly kind?: SuiteResult['kind'];
  readonly depends_on?: readonly string[];
  readonly browser_only?: boolean;
}
interface SuiteSection {
  readonly tests: readonly SuiteTest[];
}

/** All tests at once: most of the suite's time is its pauses of three seconds. */
const AT_ONCE = 1000;

const load = async (file: string) => import(import.meta.resolve(`http-cache-tests/${file}`));

async function main(): Promise<void> {
  const handlers = new Map<string, SuiteHandler>();
  for (const name of ['config', 'test', 'state'])
    handlers.set(name, ((await load(`server/handle-${name}.mjs`)) as { default: SuiteHandler }).default);
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? '/', 'http://127.0.0.1').pathname.split('/').slice(1);
    const handler = handlers.get(path.shift() ?? '');
    if (handler === undefined) response.writeHead(404).end();
    else handler(path, request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const told = new Promise<{ base: string }>((resolve) => process.once('message', resolve as (m: unknown) => void));
  process.send!({ origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
  const { base } = await told;

  const sections: SuiteSection[] = [...(await load('tests/index.mjs')).default];
  sections.push((await load('tests/surrogate-control.mjs')).default);
  const chosen = withWhatTheyBuildOn(
    process.argv.slice(2),
    sections.flatMap(({ tests }) => tests),
  );
  const runner = await load('client/runner.mjs');
  await runner.runTests(
    sections.map((section) => ({ ...section, tests: section.tests.filter(({ id }) => chosen.has(id)) })),
    (await load('../node-fetch/lib/index.mjs')).default,
    false,
    base,
    AT_ONCE,
  );
  const raw = runner.getResults() as Record<string, true | [string, string]>;
  const { determineTestResult } = await load('lib/display.mjs');
  const results = sections
    .flatMap(({ tests }) => tests)
    .filter((test) => chosen.has(test.id) && test.browser_only !== true)
    .map((test): SuiteResult => {
      const own = raw[test.id];
      return {
        id: test.id,
        kind: test.kind ?? 'required',
        outcome: OUTCOMES.get((determineTestResult(sections, test.id, raw) as string[])[2]!) ?? 'harness',
        detail: own === undefined ? 'not run' : own === true ? '' : own.join(': '),
      };
    });
  process.send!({ results }, () => process.exit(0));
}

function withWhatTheyBuildOn(ids: readonly string[], tests: readonly SuiteTest[]): Set<string> {
  const chosen = new Set(ids.length === 0 ? tests.map(({ id }) => id) : ids);
  for (const id of chosen) for (const base of tests.find((test) => test.id === id)?.depends_on ?? []) chosen.add(base);
  return chosen;
}

/** The suite's marks of its outcomes. */
const OUTCOMES: ReadonlyMap<string, SuiteResult['outcome']> = new Map([
  ['✅', 'pass'],
  ['⛔️', 'fail'],
  ['⚠️', 'fail'],
  ['Y', 'yes'],
  ['N', 'no'],
  ['⚪️', 'skipped'],
]);

if (process.send !== undefined) await main();
