import { describe, expect, test } from 'vitest';
import { Fields } from '../http/fields.ts';
import { cachePolicy, RFC_POLICY, SAFE_POLICY } from './policy.ts';
import { type ForwardOptions, forwardFields, loops } from './request-fields.ts';
import { NOW } from './sample-responses.ts';

const OPTIONS: ForwardOptions = {
  purpose: 'fetch',
  clientAddress: '192.0.2.7',
  scheme: 'https',
  httpVersion: '1.1',
  via: 'nearcast-a1',
  cdnId: 'nearcast',
  policy: SAFE_POLICY,
};
const forward = (fields: Record<string, string>, over: Partial<ForwardOptions> = {}) =>
  forwardFields(Fields.of(fields), { ...OPTIONS, ...over });

describe('a fetch for the store', () => {
  test('never carries the client’s conditions or range', () => {
    const client = {
      'if-none-match': '"x"',
      'if-modified-since': 'x',
      'if-match': '"x"',
      'if-unmodified-since': 'x',
      'if-range': '"x"',
      range: 'bytes=0-1',
    };
    const sent = forward(client);
    for (const name of Object.keys(client)) expect(sent.has(name)).toBe(false);
    for (const [name, value] of Object.entries(client))
      expect(forward(client, { purpose: 'pass' }).get(name)).toBe(value);
  });

  test('carries ours', () => {
    const sent = forward(
      { 'if-none-match': '"x"', range: 'bytes=5-' },
      { validators: { etag: 'W/"1"', lastModifiedMillis: NOW }, range: 'bytes=0-9', ifRange: '"1"' },
    );
    expect(sent.get('if-none-match')).toBe('W/"1"');
    expect(sent.get('if-modified-since')).toBe('Wed, 01 Jul 2026 00:00:00 GMT');
    expect(sent.get('range')).toBe('bytes=0-9');
    expect(sent.get('if-range')).toBe('"1"');
  });

  test('asks for the codings that the variant stands for', () => {
    expect(forward({ 'accept-encoding': 'gzip, deflate, br' }).lines('accept-encoding')).toEqual(['br, gzip']);
    expect(forward({}).get('accept-encoding')).toBe('identity');
    expect(forward({ 'accept-encoding': 'deflate' }, { purpose: 'pass' }).get('accept-encoding')).toBe('deflate');
  });

  test('leaves out the client’s cache directives unless they are honoured', () => {
    const client = { 'cache-control': 'no-cache', pragma: 'no-cache' };
    expect(forward(client).has('cache-control')).toBe(false);
    expect(forward(client, { policy: RFC_POLICY }).get('cache-control')).toBe('no-cache');
    expect(forward(client, { purpose: 'pass' }).get('cache-control')).toBe('no-cache');
  });

  test('leaves out what the service ignores', () => {
    const policy = cachePolicy('safe', { ignoredRequestFields: new Set(['cookie']) });
    expect(forward({ cookie: 'a=b', accept: 'x' }, { policy }).has('cookie')).toBe(false);
  });
});

describe.each(['fetch', 'pass'] as const)('whatever the purpose (%s)', (purpose) => {
  test.each([
    'proxy',
    'forwarded',
    'x-forwarded-host',
    'x-forwarded-scheme',
    'x-forwarded-port',
    'x-original-url',
    'x-rewrite-url',
    'x-http-method-override',
    'x-http-method',
    'x-method-override',
    'x_forwarded_host',
    'x_forwarded_for',
    'content_length',
    'transfer_encoding',
    'connection',
    'keep-alive',
    'te',
    'upgrade',
    'transfer-encoding',
    'http2-settings',
    'proxy-authorization',
    'content-length',
    'host',
    'expect',
  ])('%s does not reach the origin', (name) => {
    const sent = forward({ [name]: 'evil' }, { purpose });
    expect([...sent].filter(([, value]) => value.includes('evil'))).toEqual([]);
  });

  test('nor does what Connection names, which can not be Authorization', () => {
    const sent = forward({ connection: 'x-a, authorization', 'x-a': '1', authorization: 'b' }, { purpose });
    expect(sent.has('x-a')).toBe(false);
    expect(sent.get('authorization')).toBe('b');
  });

  test('an ordinary field with an underscore does', () => {
    expect(forward({ my_field: '1' }, { purpose }).get('my_field')).toBe('1');
  });

  test('our marks are appended', () => {
    const sent = forward(
      { via: '1.0 x', 'cdn-loop': 'other', 'x-forwarded-for': '10.0.0.1', 'x-forwarded-proto': 'http' },
      { purpose },
    );
    expect(sent.lines('via')).toEqual(['1.0 x, 1.1 nearcast-a1']);
    expect(sent.lines('cdn-loop')).toEqual(['other, nearcast']);
    expect(sent.lines('x-forwarded-for')).toEqual(['10.0.0.1, 192.0.2.7']);
    expect(sent.lines('x-forwarded-proto')).toEqual(['https']);
    expect(forward({}, { purpose, httpVersion: '2' }).get('via')).toBe('2.0 nearcast-a1');
  });
});

test('loops counts our id on any line, in any case, with parameters', () => {
  expect(loops(new Fields(), 'nearcast')).toBe(0);
  expect(loops(Fields.of({ 'cdn-loop': 'other, nearcast-b' }), 'nearcast')).toBe(0);
  expect(loops(new Fields(['cdn-loop', 'nearcast', 'cdn-loop', 'x, NearCast; v=1']), 'nearcast')).toBe(2);
  let fields = new Fields();
  for (let hop = 0; hop < 2; hop++) fields = forwardFields(fields, OPTIONS);
  expect(loops(fields, 'nearcast')).toBe(2);
});
