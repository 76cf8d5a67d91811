import { expect, test } from 'vitest';
import { maxForwards } from './max-forwards.ts';

test.each([
  [undefined, { kind: 'unbounded' }],
  ['', { kind: 'unbounded' }],
  ['-1', { kind: 'unbounded' }],
  ['1, 2', { kind: 'unbounded' }],
  ['0', { kind: 'answer-here' }],
  ['000', { kind: 'answer-here' }],
  ['1', { kind: 'forward', left: 0 }],
  ['10', { kind: 'forward', left: 9 }],
  ['99999999999', { kind: 'forward', left: 2_147_483_646 }],
])('Max-Forwards: %s', (line, expected) => {
  expect(maxForwards(line)).toEqual(expected);
});
