/**
 * When a site may be filled: a daily span of wall-clock time in the site's own time zone, right across daylight
 * saving. Pure: `Intl` knows the zones, the instant is an argument. Acting on it is left to the agent.
 */

/** Times of day in minutes since local midnight. `from` after `to` spans midnight; equal means always open. */
export interface FillWindow {
  readonly fromMinute: number;
  readonly toMinute: number;
}

/** 02:00-14:00, Open Connect's published window (conventions §5). */
export const DEFAULT_WINDOW: FillWindow = { fromMinute: 120, toMinute: 840 };

export type WindowState =
  | { readonly kind: 'open' /** `undefined`: never closes. */; readonly closesAtMillis: number | undefined }
  | { readonly kind: 'closed'; readonly opensAtMillis: number };

const DAY_MINUTES = 1440;
const MINUTE_MILLIS = 60_000;

/** Whether the window is open in a zone (IANA name, e.g. `Europe/Berlin`) at an instant, and when that next changes. */
export function windowState(nowMillis: number, zone: string, window: FillWindow = DEFAULT_WINDOW): WindowState {
  if (window.fromMinute === window.toMinute) return { kind: 'open', closesAtMillis: undefined };
  const localTime = localTimeIn(zone);
  if (isOpen(localTime(nowMillis), window))
    return { kind: 'open', closesAtMillis: nextChange(nowMillis, localTime, window) };
  return { kind: 'closed', opensAtMillis: nextChange(nowMillis, localTime, window) };
}

/** `02:00-14:00` → a window; `undefined` for anything else. */
export function parseWindow(text: string): FillWindow | undefined {
  const match = /^(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})$/.exec(text.trim());
  if (match === null) return undefined;
  const [fromHour, fromMinute, toHour, toMinute] = match.slice(1).map(Number) as [number, number, number, number];
  if (fromHour > 23 || toHour > 24 || fromMinute > 59 || toMinute > 59 || toHour * 60 + toMinute > DAY_MINUTES)
    return undefined;
  return { fromMinute: fromHour * 60 + fromMinute, toMinute: (toHour * 60 + toMinute) % DAY_MINUTES };
}

/** Whether a text names a time zone that this system knows. */
export function isZone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat('en-GB', { timeZone: zone });
    return true;
  } catch {
    return false; // RangeError: the only thing that the constructor throws for a name; "no" is the whole answer
  }
}

/** Minutes since local midnight, with a fraction. */
type LocalTime = (millis: number) => number;

function localTimeIn(zone: string): LocalTime {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone: zone,
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hourCycle: 'h23',
  });
  return (millis) => {
    let minutes = 0;
    for (const { type, value } of format.formatToParts(millis)) {
      if (type === 'hour') minutes += Number(value) * 60;
      else if (type === 'minute') minutes += Number(value);
      else if (type === 'second') minutes += Number(value) / 60;
    }
    return minutes;
  };
}

function isOpen(minute: number, { fromMinute, toMinute }: FillWindow): boolean {
  if (fromMinute < toMinute) return minute >= fromMinute && minute < toMinute;
  return minute >= fromMinute || minute < toMinute;
}

/**
 * The first instant after `nowMillis` with another state. Steps by quarter hours (less for a shorter window, so that
 * none is stepped over), then halves to the second. A skipped hour (spring) or a repeated one (autumn) needs no case of its own:
 * only what the wall clock shows counts.
 */
function nextChange(nowMillis: number, localTime: LocalTime, window: FillWindow): number {
  const open = isOpen(localTime(nowMillis), window);
  const openMinutes = (window.toMinute - window.fromMinute + DAY_MINUTES) % DAY_MINUTES;
  const step = Math.min(15, openMinutes, DAY_MINUTES - openMinutes) * MINUTE_MILLIS;
  let before = nowMillis;
  // 49 h: a day whose window falls wholly into the skipped hour passes without a change.
  for (const last = nowMillis + 49 * 60 * MINUTE_MILLIS; before < last; before += step)
    if (isOpen(localTime(before + step), window) !== open) break;
  let after = before + step;
  while (after - before > 1000) {
    const middle = Math.floor((before + after) / 2);
    if (isOpen(localTime(middle), window) === open) before = middle;
    else after = middle;
  }
  return Math.floor(after / 1000) * 1000;
}
