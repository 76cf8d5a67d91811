/**
 * HTTP-date (RFC 9110 §5.6.7): the three formats that a recipient must accept, and the one that a sender writes.
 * Strict about shape, since an `Expires` that is not a date means "already stale"; case is folded, as caches do.
 * Holds no clock: two-digit years are placed by a time given as an argument.
 */

import { remembering } from '../../runtime/recent.ts';

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'] as const;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'] as const;
const MONTH_NUMBER: ReadonlyMap<string, number> = new Map(MONTHS.map((name, index) => [name.toLowerCase(), index]));

const IMF_FIXDATE = /^(?:sun|mon|tue|wed|thu|fri|sat), (\d\d) ([a-z]{3}) (\d{4}) (\d\d):(\d\d):(\d\d) gmt$/i;
const RFC850_DATE = /^(?:sun|mon|tues|wednes|thurs|fri|satur)day, (\d\d)-([a-z]{3})-(\d\d) (\d\d):(\d\d):(\d\d) gmt$/i;
const ASCTIME_DATE = /^(?:sun|mon|tue|wed|thu|fri|sat) ([a-z]{3}) ([ \d]\d) (\d\d):(\d\d):(\d\d) (\d{4})$/i;

/** Longer than any HTTP-date; guards the expressions against junk. */
const LONGEST = 40;
const IMF_LENGTH = 29;
const NO_DATE = Number.NaN;

/**
 * Milliseconds since 1970, or `undefined` for what is not an HTTP-date. `nowMillis` decides the century of an
 * RFC 850 year: one that would lie more than 50 years ahead is in the past (RFC 9110 §5.6.7).
 */
export function parseHttpDate(value: string, nowMillis: number): number | undefined {
  if (value.length > LONGEST) return undefined;
  if (value.length === IMF_LENGTH) {
    const millis = imfFixdate(value);
    if (!Number.isNaN(millis)) return millis;
  }
  let match = ASCTIME_DATE.exec(value);
  if (match !== null) return instant(Number(match[6]), match[1]!, match[2]!, match[3]!, match[4]!, match[5]!);
  match = RFC850_DATE.exec(value);
  if (match === null) return undefined;
  return instant(fullYear(Number(match[3]), nowMillis), match[2]!, match[1]!, match[4]!, match[5]!, match[6]!);
}

/** The common form, whose meaning no clock changes: the dates of one second, or of one object, are worked out once. */
const imfFixdate = remembering(1_000, (value) => {
  const match = IMF_FIXDATE.exec(value);
  if (match === null) return NO_DATE;
  return instant(Number(match[3]), match[2]!, match[1]!, match[4]!, match[5]!, match[6]!) ?? NO_DATE;
});

/** IMF-fixdate, e.g. `Sun, 06 Nov 1994 08:49:37 GMT`. */
export function formatHttpDate(millis: number): string {
  const date = new Date(millis);
  const day = DAYS[date.getUTCDay()]!;
  const month = MONTHS[date.getUTCMonth()]!;
  const clock = `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())}`;
  const year = String(date.getUTCFullYear()).padStart(4, '0');
  return `${day}, ${two(date.getUTCDate())} ${month} ${year} ${clock} GMT`;
}

function instant(
  year: number,
  monthName: string,
  dayText: string,
  hourText: string,
  minuteText: string,
  secondText: string,
): number | undefined {
  const month = MONTH_NUMBER.get(monthName.toLowerCase());
  const day = Number(dayText);
  const hour = Number(hourText);
  const minute = Number(minuteText);
  const second = Number(secondText);
  if (month === undefined || hour > 23 || minute > 59 || second > 60) return undefined;
  if (day < 1 || day > daysOf(month, year)) return undefined;
  // Date.UTC takes years below 100 for 19xx; 400 years are always 146,097 days.
  const midnight = year < 100 ? Date.UTC(year + 400, month, day) - 146_097 * 86_400_000 : Date.UTC(year, month, day);
  return midnight + hour * 3_600_000 + minute * 60_000 + second * 1000;
}

function daysOf(month: number, year: number): number {
  if (month === 1) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return month === 3 || month === 5 || month === 8 || month === 10 ? 30 : 31;
}

function fullYear(twoDigits: number, nowMillis: number): number {
  const thisYear = new Date(nowMillis).getUTCFullYear();
  const year = thisYear - (thisYear % 100) + twoDigits;
  return year > thisYear + 50 ? year - 100 : year;
}

function two(number: number): string {
  return number < 10 ? `0${number}` : String(number);
}
