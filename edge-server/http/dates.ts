/**
 * HTTP-date (RFC 9110 §5.6.7): the three formats that a recipient must accept, and the one that a sender writes.
 * Strict about shape, since an `Expires` that is not a date means "already stale"; case is folded, as caches do.
 * Holds no clock: two-digit years are placed by a time given as an argument.
 */

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'] as const;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'] as const;
const MONTH_NUMBER: ReadonlyMap<string, number> = new Map(MONTHS.map((name, index) => [name.toLowerCase(), index]));

const IMF_FIXDATE = /^(?:sun|mon|tue|wed|thu|fri|sat), (\d\d) ([a-z]{3}) (\d{4}) (\d\d):(\d\d):(\d\d) gmt$/i;
const RFC850_DATE = /^(?:sun|mon|tues|wednes|thurs|fri|satur)day, (\d\d)-([a-z]{3})-(\d\d) (\d\d):(\d\d):(\d\d) gmt$/i;
const ASCTIME_DATE = /^(?:sun|mon|tue|wed|thu|fri|sat) ([a-z]{3}) ([ \d]\d) (\d\d):(\d\d):(\d\d) (\d{4})$/i;

/** Longer than any HTTP-date; guards the expressions against junk. */
const LONGEST = 40;

/**
 * Milliseconds since 1970, or `undefined` for what is not an HTTP-date. `nowMillis` decides the century of an
 * RFC 850 year: one that would lie more than 50 years ahead is in the past (RFC 9110 §5.6.7).
 */
export function parseHttpDate(value: string, nowMillis: number): number | undefined {
  if (value.length > LONGEST) return undefined;
  let match = IMF_FIXDATE.exec(value);
  if (match !== null) return instant(Number(match[3]), match[2]!, match[1]!, match[4]!, match[5]!, match[6]!);
  match = ASCTIME_DATE.exec(value);
  if (match !== null) return instant(Number(match[6]), match[1]!, match[2]!, match[3]!, match[4]!, match[5]!);
  match = RFC850_DATE.exec(value);
  if (match === null) return undefined;
  return instant(fullYear(Number(match[3]), nowMillis), match[2]!, match[1]!, match[4]!, match[5]!, match[6]!);
}

/** IMF-fixdate, e.g. `Sun, 06 Nov 1994 08:49:37 GMT`. */
export function formatHttpDate(millis: number): string {
  const date = new Date(millis);
  const day = DAYS[date.getUTCDay()]!;
  const month = MONTHS[date.getUTCMonth()]!;
  const clock = `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())}`;
  const year = String(date.getUTCFullYear()).padStart(4, '0');
  return `${day}, ${two(date.getUTCDate())} ${month} ${year} ${clock} GMT`;
}

/** Formats the current second once; each later call within it is one comparison. One per event loop. */
export class HttpDateFormatter {
  #second = Number.NaN;
  #text = '';

  format(millis: number): string {
    const second = Math.floor(millis / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#text = formatHttpDate(second * 1000);
    }
    return this.#text;
  }
}

function instant(
  year: number,
  monthName: string,
  day: string,
  hour: string,
  minute: string,
  second: string,
): number | undefined {
  const month = MONTH_NUMBER.get(monthName.toLowerCase());
  const dayNumber = Number(day);
  if (month === undefined || dayNumber < 1 || Number(hour) > 23 || Number(minute) > 59 || Number(second) > 60)
    return undefined;
  const midnight = Date.UTC(2000, month, dayNumber);
  const date = new Date(midnight);
  date.setUTCFullYear(year, month, dayNumber);
  // A day that the month does not have (31 Feb) rolls over: not a date.
  if (date.getUTCMonth() !== month || date.getUTCDate() !== dayNumber) return undefined;
  return date.getTime() + Number(hour) * 3_600_000 + Number(minute) * 60_000 + Number(second) * 1000;
}

function fullYear(twoDigits: number, nowMillis: number): number {
  const thisYear = new Date(nowMillis).getUTCFullYear();
  const year = thisYear - (thisYear % 100) + twoDigits;
  return year > thisYear + 50 ? year - 100 : year;
}

function two(number: number): string {
  return number < 10 ? `0${number}` : String(number);
}
