/**
 * Every row of `request-cases.ts` on a real edge: read by our parser and, behind a request with a body, by `node:http`;
 * over TCP and TLS. Behind each case another request stands in the same write, and a raw origin records what reaches it.
 */
import { describe, expect, test } from 'vitest';
import { readAnswers } from '../fuzz/answer-reading.ts';
import { converse } from '../fuzz/conversation.ts';
import { conformanceBench, HOST } from './conformance-edge.ts';
import { REQUEST_CASES, type RequestCase } from './request-cases.ts';

const bench = conformanceBench();

const WAYS = [
  { via: 'plain', handed: false },
  { via: 'plain', handed: true },
  { via: 'tls', handed: false },
  { via: 'tls', handed: true },
] as const;

let cases = 0;

async function outcome({ text, expected }: RequestCase, { via, handed }: (typeof WAYS)[number]): Promise<string[]> {
  const path = `/c${++cases}`;
  const before = handed ? `POST ${path}-before HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 2\r\n\r\nhi` : '';
  const behind = `GET ${path}-behind HTTP/1.1\r\nHost: ${HOST}\r\nConnection: close\r\n\r\n`;
  const own = text.replace(/(?<=[ \t\v\f\xa0])%/, path);
  const sent = own.includes('!last') ? before + own : before + own + behind;
  const { received, ending } = await converse(bench.via(via), [Buffer.from(sent, 'latin1')], 8_000);
  const method = /^\s*([A-Z]+) /.exec(text)?.[1] ?? 'GET';
  const methods = [...(handed ? ['POST'] : []), method, 'GET'];
  const read = readAnswers(received.toString('latin1'), (k) => methods[k] ?? 'GET');
  const found: string[] = [];
  if (read.kind === 'complaint') found.push(`the answer is malformed: ${read.what}`);
  if (ending === 'deadline') found.push('never closed');
  const answers = [...read.answers];
  if (handed) {
    const first = answers.shift();
    // What came before a malformed body or head is answered all the same.
    if (first?.status !== 200) found.push(`the request before it: ${first?.status}`);
  }
  const statuses = answers.map(({ status }) => status);
  const behindAsked = bench.asked.includes(`GET ${path}-behind`);
  switch (expected.kind) {
    case 'served':
      if (`${statuses}` !== `${[expected.status, 200]}`)
        found.push(`answered ${statuses}, not ${expected.status}, 200`);
      if (!behindAsked) found.push('the request behind it was not executed');
      break;
    case 'closed':
      if (`${statuses}` !== `${[expected.status]}`) found.push(`answered ${statuses}, not ${expected.status} alone`);
      if (behindAsked) found.push('the request behind it was executed');
      break;
    case 'answered':
      if (statuses[0] !== expected.status || statuses.length !== (behindAsked ? 2 : 1))
        found.push(`answered ${statuses}; the request behind it was executed: ${behindAsked}`);
      break;
    case 'refused':
      if (statuses.length !== 1 || !expected.statuses.includes(statuses[0]!))
        found.push(`answered ${statuses}, not ${expected.statuses}`);
      if (behindAsked) found.push('the request behind it was executed');
      break;
    case 'cut':
      if (statuses.some((status) => status < 400)) found.push(`answered ${statuses}`);
      break;
  }
  if (bench.asked.some((one) => one.includes('smuggled'))) found.push('a smuggled request reached the origin');
  return found;
}

const sections = Map.groupBy(REQUEST_CASES, ({ section }) => section);

describe('requests', () => {
  for (const [section, rows] of sections)
    test(`${section}: ${rows.length} cases`, async () => {
      const wrong: string[] = [];
      for (const row of rows)
        for (const [i, found] of (await Promise.all(WAYS.map((way) => outcome(row, way)))).entries())
          for (const what of found)
            wrong.push(`${row.name} (${WAYS[i]!.via}${WAYS[i]!.handed ? ', handed over' : ''}): ${what}`);
      expect(wrong).toEqual([]);
    }, 60_000);

  test('the origin was never sent anything malformed', () => {
    expect(bench.origin.complaints).toEqual([]);
    expect(REQUEST_CASES.length).toBeGreaterThan(500);
  });
});
