/**
 * Transfer-Encoding hidden and disguised, in the manner of the smuggler tool: each mutation beside a Content-Length that
 * frames otherwise. Either it is refused and closed, or it is read by the length, and the origin never sees more.
 */
import { expect, test } from 'vitest';
import { readAnswers } from '../fuzz/answer-reading.ts';
import { converse } from '../fuzz/conversation.ts';
import { conformanceBench, HOST } from './conformance-edge.ts';

const bench = conformanceBench();
const TE = 'Transfer-Encoding';

function mutations(): string[] {
  const all = [
    ` ${TE}: chunked`,
    `${TE}\t:\tchunked`,
    'Transfer Encoding: chunked',
    'Transfer_Encoding: chunked',
    `${TE}: chunked, cow`,
  ];
  all.push(
    `${TE}: cow, chunked`,
    `${TE}:\n chunked`,
    `${TE}: chunked\r`,
    `X:X\r${TE}: chunked`,
    `X:X\n${TE}: chunked`,
    `${TE}: cow\r\n${TE}: chunked`,
  );
  all.push(
    'Content-Encoding: chunked',
    `${TE}: chunk`,
    `${TE}: 'chunked'`,
    'Transfer\r-Encoding: chunked',
    `Foo: bar\r\n\t${TE}: chunked`,
  );
  for (let code = 0; code < 256; code++) {
    if (code > 32 && code < 127) continue;
    const c = String.fromCharCode(code);
    all.push(
      `${TE}:${c}chunked`,
      `${TE}${c}: chunked`,
      `${c}${TE}: chunked`,
      `${TE}: chunked${c}`,
      `X: X${c}${TE}: chunked`,
    );
    all.push(`${TE}: chun${c}ked`, `Transfer${c}-Encoding: chunked`);
  }
  return all;
}

test('no disguise of Transfer-Encoding makes the origin see a request that the length did not frame', async () => {
  const wrong: string[] = [];
  const body = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n';
  const chunks = `0\r\n\r\n${body}`;
  const all = mutations();
  const one = async (mutation: string, i: number, via: 'plain' | 'tls') => {
    const text = `POST /m${i} HTTP/1.1\r\nHost: ${HOST}\r\n${mutation}\r\nContent-Length: ${chunks.length}\r\n\r\n${chunks}`;
    const { received, ending } = await converse(bench.via(via), [Buffer.from(text, 'latin1')], 8_000);
    const { answers } = readAnswers(received.toString('latin1'), () => 'POST');
    const statuses = answers.map(({ status }) => status);
    if (ending === 'deadline' || statuses.length !== 1 || ![200, 400, 501].includes(statuses[0]!))
      wrong.push(`${JSON.stringify(mutation)} (${via}): ${statuses} ${ending}`);
  };
  for (const [i, mutation] of all.entries()) await Promise.all([one(mutation, i, 'plain'), one(mutation, i, 'tls')]);
  expect(wrong).toEqual([]);
  expect(bench.asked.filter((asked) => asked.includes('smuggled'))).toEqual([]);
  expect(bench.origin.complaints).toEqual([]);
  expect(all.length).toBeGreaterThan(1000);
}, 90_000);
