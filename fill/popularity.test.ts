import { expect, test } from 'vitest';
import { decayedScore, HALF_LIFE_MILLIS, withDemand, withoutForgotten, withReport } from './popularity.ts';

test('bytes asked for count in copies of the file, and half as much a day later', () => {
  const asked = withDemand(undefined, { requests: 9, bytes: 300 }, 100, 0);
  expect(decayedScore(asked, 0)).toBe(3);
  expect(decayedScore(asked, HALF_LIFE_MILLIS)).toBe(1.5);
  expect(withDemand(asked, { requests: 1, bytes: 50 }, 100, HALF_LIFE_MILLIS).score).toBe(2);
});

test('many small range requests weigh no more than their bytes', () => {
  expect(withDemand(undefined, { requests: 1000, bytes: 100 }, 100, 0).score).toBe(1);
});

test('an empty file counts by requests', () => {
  expect(withDemand(undefined, { requests: 4, bytes: 0 }, 0, 0).score).toBe(4);
});

test('a clock that goes backwards neither raises a score nor loses it', () => {
  const asked = withDemand(undefined, { requests: 1, bytes: 100 }, 100, 5000);
  expect(decayedScore(asked, 0)).toBe(1);
  expect(withDemand(asked, { requests: 1, bytes: 100 }, 100, 0)).toEqual({ score: 2, atMillis: 5000 });
});

test('a report changes a copy, and only for paths of the catalogue', () => {
  const before = new Map([['/a', { score: 1, atMillis: 0 }]]);
  const report = JSON.parse('{"/a":[1,10],"/b":[1,20],"__proto__":[1,5],"/nowhere":[1,1]}');
  const after = withReport(before, report, (path) => (['/a', '/b'].includes(path) ? 10 : undefined), 0);
  expect([...after].map(([path, { score }]) => [path, score])).toEqual([
    ['/a', 2],
    ['/b', 2],
  ]);
  expect(before.get('/a')!.score).toBe(1);
});

test('what nobody asks for any more is forgotten', () => {
  const scores = new Map([
    ['/once', { score: 1, atMillis: 0 }],
    ['/often', { score: 4000, atMillis: 0 }],
  ]);
  expect([...withoutForgotten(scores, 11 * HALF_LIFE_MILLIS).keys()]).toEqual(['/often']);
});
