import fc from 'fast-check';
import { expect, test } from 'vitest';
import { serverSentEvents } from './control-events.ts';

async function events(chunks: readonly Uint8Array[]) {
  const found: { id: string | undefined; data: string }[] = [];
  for await (const event of serverSentEvents(
    (async function* () {
      yield* chunks;
    })(),
  ))
    found.push(event);
  return found;
}

const STREAM =
  ': hello\n\nid: 1\ndata: {"text":"é"}\n\nid: 2\ndata: a\ndata:b\n\n: still here\n\ndata: last\n\ndata: cut';

test('events come with their ids, comments and what is unfinished do not', async () => {
  expect(await events([Buffer.from(STREAM)])).toEqual([
    { id: '1', data: '{"text":"é"}' },
    { id: '2', data: 'a\nb' },
    { id: undefined, data: 'last' },
  ]);
});

test('it does not matter where the stream is cut into chunks', async () => {
  const whole = await events([Buffer.from(STREAM)]);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(Buffer.byteLength(STREAM)), { maxLength: 8 }), async (cuts) => {
      const bytes = Buffer.from(STREAM);
      const ends = [...new Set([...cuts, bytes.length])].sort((a, b) => a - b);
      expect(await events(ends.map((end, i) => bytes.subarray(ends[i - 1] ?? 0, end)))).toEqual(whole);
    }),
  );
});
