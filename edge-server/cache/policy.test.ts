import { expect, test } from 'vitest';
import { cachePolicy, keyRule, RFC_POLICY, SAFE_POLICY } from './policy.ts';

test('profiles and what is made of them can not be changed', () => {
  for (const policy of [RFC_POLICY, SAFE_POLICY, cachePolicy('safe', { setCookie: 'strip' })])
    expect(() => Object.assign(policy, { setCookie: 'store' })).toThrow(TypeError);
});

test('an override changes what it names and nothing else', () => {
  expect(cachePolicy('safe', { defaultTtlMillis: 5 })).toEqual({ ...SAFE_POLICY, defaultTtlMillis: 5 });
  expect(cachePolicy('rfc')).toEqual(RFC_POLICY);
});

test('the key’s rule is part of the policy', () => {
  const query = { kind: 'drop' } as const;
  expect(keyRule(cachePolicy('safe', { query, canonicalHost: 'example.org' }))).toEqual({
    query,
    canonicalHost: 'example.org',
  });
});
