/**
 * Strict reader of a Dictionary Structured Field (RFC 9651 §4.2.2), as far as targeted cache control needs it: members
 * with a bare item or an inner list, whose type is kept, and parameters, which are checked and dropped.
 * Any error makes the whole field invalid, as the specification wants.
 */

export type BareItem =
  | { readonly type: 'integer' | 'decimal' | 'date'; readonly value: number }
  | { readonly type: 'string' | 'token' | 'bytes' | 'display-string'; readonly value: string }
  | { readonly type: 'boolean'; readonly value: boolean };

export type Member = BareItem | { readonly type: 'inner-list' };

const KEY = /[a-z*][a-z0-9_\-.*]*/y;
const NUMBER = /-?(?:\d{1,12}\.\d{1,3}(?!\d)|\d{1,15}(?![\d.]))/y;
const STRING = /"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"/y;
const TOKEN = /[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*/y;
const BYTES = /:([A-Za-z0-9+/]*={0,2}):/y;
const DISPLAY_STRING = /%"((?:[\x20\x21\x23\x24\x26-\x7e]|%[0-9a-f]{2})*)"/y;
const SPACES = / */y;
const OPTIONAL_WHITESPACE = /[ \t]*/y;

/** The members by key, or `undefined` when the text is not a dictionary. Of repeated keys the last counts. */
export function parseDictionary(text: string): Map<string, Member> | undefined {
  const members = new Map<string, Member>();
  const reader = new Reader(text);
  reader.skip(SPACES);
  if (reader.ended) return members;
  for (;;) {
    const key = reader.take(KEY);
    if (key === undefined) return undefined;
    const member = reader.takeCharacter('=') ? readMember(reader) : ({ type: 'boolean', value: true } as const);
    if (member === undefined || !readParameters(reader)) return undefined;
    members.delete(key);
    members.set(key, member);
    reader.skip(OPTIONAL_WHITESPACE);
    if (reader.ended) return members;
    if (!reader.takeCharacter(',')) return undefined;
    reader.skip(OPTIONAL_WHITESPACE);
    if (reader.ended) return undefined;
  }
}

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text.replace(/ +$/, '');
  }

  get ended(): boolean {
    return this.#at >= this.#text.length;
  }

  peek(): string | undefined {
    return this.#text[this.#at];
  }

  skip(pattern: RegExp): void {
    this.match(pattern);
  }

  take(pattern: RegExp): string | undefined {
    return this.match(pattern)?.[0];
  }

  takeCharacter(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (match === null) return undefined;
    this.#at += match[0].length;
    return match;
  }
}

function readMember(reader: Reader): Member | undefined {
  if (reader.peek() !== '(') return readBareItem(reader);
  reader.takeCharacter('(');
  for (;;) {
    reader.skip(SPACES);
    if (reader.takeCharacter(')')) return { type: 'inner-list' };
    if (readBareItem(reader) === undefined || !readParameters(reader)) return undefined;
    if (reader.peek() !== ' ' && reader.peek() !== ')') return undefined;
  }
}

function readBareItem(reader: Reader): BareItem | undefined {
  const character = reader.peek();
  if (character === undefined) return undefined;
  if (character === '"') return stringItem(reader.match(STRING)?.[1]);
  if (character === '?') {
    reader.takeCharacter('?');
    if (reader.takeCharacter('1')) return { type: 'boolean', value: true };
    return reader.takeCharacter('0') ? { type: 'boolean', value: false } : undefined;
  }
  if (character === ':') return textItem('bytes', reader.match(BYTES)?.[1]);
  if (character === '%') return textItem('display-string', reader.match(DISPLAY_STRING)?.[1]);
  if (character === '@') {
    reader.takeCharacter('@');
    const seconds = reader.take(NUMBER);
    return seconds === undefined || seconds.includes('.') ? undefined : { type: 'date', value: Number(seconds) };
  }
  if (character === '-' || (character >= '0' && character <= '9')) {
    const number = reader.take(NUMBER);
    if (number === undefined) return undefined;
    return { type: number.includes('.') ? 'decimal' : 'integer', value: Number(number) };
  }
  return textItem('token', reader.take(TOKEN));
}

function stringItem(value: string | undefined): BareItem | undefined {
  return value === undefined ? undefined : { type: 'string', value: value.replace(/\\(["\\])/g, '$1') };
}

function textItem(type: 'bytes' | 'display-string' | 'token', value: string | undefined): BareItem | undefined {
  return value === undefined ? undefined : { type, value };
}

/** `;key=value` any number of times; false when malformed. */
function readParameters(reader: Reader): boolean {
  while (reader.takeCharacter(';')) {
    reader.skip(SPACES);
    if (reader.take(KEY) === undefined) return false;
    if (reader.takeCharacter('=') && readBareItem(reader) === undefined) return false;
  }
  return true;
}
