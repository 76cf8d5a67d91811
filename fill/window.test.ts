import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isZone, parseWindow, windowState } from './window.ts';

const at = (text: string) => Date.parse(text);
const iso = (millis: number | undefined) => (millis === undefined ? undefined : new Date(millis).toISOString());

test.each([
  // zone, now, kind, next change
  ['UTC', '2026-01-10T01:59:59Z', 'closed', '2026-01-10T02:00:00.000Z'],
  ['UTC', '2026-01-10T02:00:00Z', 'open', '2026-01-10T14:00:00.000Z'],
  ['UTC', '2026-01-10T14:00:00Z', 'closed', '2026-01-11T02:00:00.000Z'],
  ['Asia/Kolkata', '2026-01-10T00:00:00Z', 'open', '2026-01-10T08:30:00.000Z'],
  ['America/New_York', '2026-07-01T00:00:00Z', 'closed', '2026-07-01T06:00:00.000Z'],
  // Spring: 02:00 does not exist on 29 March, the window opens as the clock jumps to 03:00.
  ['Europe/Berlin', '2026-03-29T00:30:00Z', 'closed', '2026-03-29T01:00:00.000Z'],
  ['Europe/Berlin', '2026-03-29T01:00:00Z', 'open', '2026-03-29T12:00:00.000Z'],
  // Autumn: 02:30 comes twice on 25 October; open through both, 13 h in all.
  ['Europe/Berlin', '2026-10-25T00:00:00Z', 'open', '2026-10-25T13:00:00.000Z'],
])('in %s at %s the default window is %s until %s', (zone, now, kind, change) => {
  const state = windowState(at(now), zone);
  expect(state.kind).toBe(kind);
  expect(iso(state.kind === 'open' ? state.closesAtMillis : state.opensAtMillis)).toBe(change);
});

test('a window in the hour that autumn repeats opens twice', () => {
  const window = parseWindow('02:00-03:00')!;
  const berlin = (text: string) => windowState(at(text), 'Europe/Berlin', window);
  expect(berlin('2026-10-25T00:30:00Z').kind).toBe('open');
  expect(berlin('2026-10-25T01:30:00Z').kind).toBe('open');
  expect(berlin('2026-10-25T02:00:00Z').kind).toBe('closed');
});

test('a window in the hour that spring skips stays closed until the next day', () => {
  const state = windowState(at('2026-03-28T23:00:00Z'), 'Europe/Berlin', parseWindow('02:10-02:50')!);
  expect(state).toEqual({ kind: 'closed', opensAtMillis: at('2026-03-30T00:10:00Z') });
});

test('a window may span midnight, be a minute short, or never close', () => {
  const night = parseWindow('22:00-06:00')!;
  expect(windowState(at('2026-01-10T23:00:00Z'), 'UTC', night)).toEqual({
    kind: 'open',
    closesAtMillis: at('2026-01-11T06:00:00Z'),
  });
  expect(windowState(at('2026-01-10T05:00:00Z'), 'UTC', parseWindow('04:58-04:59')!)).toEqual({
    kind: 'closed',
    opensAtMillis: at('2026-01-11T04:58:00Z'),
  });
  expect(windowState(0, 'UTC', parseWindow('00:00-24:00')!)).toEqual({ kind: 'open', closesAtMillis: undefined });
});

test.each(['', '2-14', '02:00', '25:00-14:00', '02:60-14:00', '02:00-24:01', '02:00–14:00'])(
  '%j is not a window',
  (text) => expect(parseWindow(text)).toBeUndefined(),
);

test('a zone is known or not', () => {
  expect(isZone('Europe/Berlin')).toBe(true);
  expect(isZone('Europe/Atlantis')).toBe(false);
});

test('the next change is the first instant with the other state, in every zone and season', () => {
  const zones = fc.constantFrom('UTC', 'Europe/Berlin', 'America/St_Johns', 'Australia/Lord_Howe', 'Asia/Kathmandu');
  fc.assert(
    fc.property(zones, fc.integer({ min: at('2026-01-01'), max: at('2027-01-01') }), (zone, now) => {
      const state = windowState(now, zone);
      const change = state.kind === 'open' ? state.closesAtMillis! : state.opensAtMillis;
      expect(change).toBeGreaterThan(now);
      expect(windowState(change, zone).kind).not.toBe(state.kind);
      expect(windowState(change - 1, zone).kind).toBe(state.kind);
    }),
    { numRuns: 100 },
  );
});
