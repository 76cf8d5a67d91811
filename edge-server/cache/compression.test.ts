import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Fields } from '../http/fields.ts';
import { strongMatch } from '../http/preconditions.ts';
import { compressionPlan, compressionRule, plannedFields, plannedNotModified } from './compression.ts';
import { codingPreference, reducedAcceptEncoding, selectingCodings } from './vary.ts';

const RULE = compressionRule({ minimum: 10 });
const page = (fields: Record<string, string> = {}, contentLength: number | undefined = 100, status = 200) => ({
  status,
  contentLength,
  fields: Fields.of({ 'content-type': 'text/html; charset=utf-8', etag: '"1"', ...fields }),
});
const kind = (accepts: string | undefined, response: ReturnType<typeof page>, rule = RULE) => {
  const plan = compressionPlan(rule, accepts, response);
  return plan.kind === 'compress' ? plan.coding : plan.kind;
};

describe('what becomes of a response', () => {
  test.each([
    ['gzip, deflate, br, zstd', page(), 'zstd'],
    ['gzip, deflate, br', page(), 'br'],
    ['gzip', page(), 'gzip'],
    ['deflate', page(), 'varies'],
    [undefined, page(), 'varies'],
    ['gzip;q=0', page(), 'varies'],
    ['br, identity;q=0', page(), 'br'],
    ['gzip', page({}, 100, 206), 'varies'],
    ['gzip', page({}, undefined), 'gzip'],
    ['gzip', page({}, 9), 'none'],
    ['gzip', page({}, 100, 404), 'none'],
    ['gzip', page({ 'content-type': 'video/mp4' }), 'none'],
    ['gzip', page({ 'content-encoding': 'br' }), 'none'],
    ['gzip', page({ 'content-encoding': 'identity' }), 'gzip'],
    ['gzip', page({ 'cache-control': 'max-age=1, No-Transform' }), 'none'],
    ['gzip', page({ 'cache-control': 'no-transform', 'cdn-cache-control': 'max-age=1' }), 'none'],
  ])('Accept-Encoding %j', (accepts, response, expected) => expect(kind(accepts, response)).toBe(expected));

  test('a type may be given as a range; event streams are never compressed', () => {
    const rule = compressionRule({ types: ['Text/*'] });
    const of = (type: string) => kind('gzip', page({ 'content-type': type }, 10_000), rule);
    expect([of('text/x-anything'), of('application/json'), of('text/event-stream')]).toEqual(['gzip', 'none', 'none']);
  });

  test('the compressed form has no strong validator, and says what it depends on', () => {
    const fields = Fields.of({
      etag: '"1"',
      vary: 'Origin',
      digest: 'x',
      'content-length': '9',
      'accept-ranges': 'bytes',
    });
    const compressed = plannedFields(fields, { kind: 'compress', coding: 'br' });
    expect([...compressed]).toEqual([
      ['vary', 'Origin'],
      ['vary', 'accept-encoding'],
      ['content-encoding', 'br'],
      ['etag', 'W/"1"'],
    ]);
    expect(strongMatch(compressed.get('etag')!, fields.get('etag')!)).toBe(false);
    expect(plannedFields(fields, { kind: 'varies' }).get('etag')).toBe('"1"');
    expect(plannedFields(Fields.of({ vary: 'Accept-Encoding' }), { kind: 'varies' }).lines('vary')).toEqual([
      'Accept-Encoding',
    ]);
  });

  test('a 304 with a Vary of its own gets what we added, one without stays without', () => {
    const fields = (vary?: string) =>
      plannedNotModified(Fields.of(vary === undefined ? {} : { vary }), ['accept-encoding']);
    expect(fields('Origin').get('vary')).toBe('Origin, accept-encoding');
    expect(fields().has('vary')).toBe(false);
  });
});

test('of what a client takes, the first preferred coding stands for all; who takes none of them is one kind', () => {
  const member = fc.tuple(
    fc.constantFrom('gzip', 'br', 'zstd', 'deflate', 'identity', '*'),
    fc.constantFrom('', ';q=0', ';q=0.5'),
  );
  const order = fc.shuffledSubarray(['zstd', 'br', 'gzip'], { minLength: 1 });
  fc.assert(
    fc.property(fc.array(member, { maxLength: 5 }), order, (members, codings) => {
      const accepts = members.map(([coding, weight]) => coding + weight).join(', ');
      const set = reducedAcceptEncoding(accepts).split(', ');
      const first = codings.find((coding) => set.includes(coding));
      const selected = selectingCodings(accepts, codingPreference(codings));
      expect(selected).toBe(first ?? (set[0] === 'identity;q=0' ? 'identity;q=0' : 'identity'));
    }),
  );
});
