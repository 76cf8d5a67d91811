/**
 * Vary (RFC 9110 §12.5.5, RFC 9111 §4.1): which request fields select a stored response, and the variant that a request
 * selects. Values are normalised only where the origin can't tell the difference: because the grammar says so, because
 * we send the normal form upstream (Accept-Encoding), or because the policy accepts it. A variant holds no text of
 * cookies or other long values: they are hashed.
 */
import { hash } from 'node:crypto';
import type { Fields } from '../http/fields.ts';

export type Vary =
  /** Lower case, sorted, without repeats. */
  | { readonly kind: 'names'; readonly names: readonly string[] }
  /** Never matches another request: `*`, or a field that can't be read, which counts as such. */
  | { readonly kind: 'star'; readonly why: 'star' | 'unparsable' };

/** How request values are brought to a normal form. */
export interface VaryNormalisation {
  /** `reduce`: to the set of br, gzip, zstd that the client takes; `upstreamAcceptEncoding` sends the same upstream. */
  readonly acceptEncoding: 'reduce' | 'exact';
  /** With `reduce`: one coding instead of the set, the first of these that the client takes, for a cache that compresses. */
  readonly preferredCodings?: CodingPreference | undefined;
  /** `sort`: by weight, then by name, since order has no meaning of its own (RFC 9110 §12.5.4); some origins use it. */
  readonly acceptLanguage: 'sort' | 'keep-order';
  /** Spaces around commas: dropped in every field, or only in those known to be lists. */
  readonly listSpace: 'every-field' | 'known-lists';
}

/** Set of codings, in the form that `reducedAcceptEncoding` gives it → the one that is preferred. */
export type CodingPreference = ReadonlyMap<string, string>;

const NAME = /^[!#$%&'*+\-.^_`|~\dA-Za-z]{1,100}$/;
/** More names than this select nothing that would be asked for twice. */
const MOST_NAMES = 16;

const NONE: Vary = { kind: 'names', names: [] };
const STAR: Vary = { kind: 'star', why: 'star' };
const UNPARSABLE: Vary = { kind: 'star', why: 'unparsable' };

/** Fields whose value is a list, so that space around its commas means nothing. */
const LISTS = new Set(['accept', 'accept-charset', 'accept-encoding', 'accept-language', 'accept-ch', 'save-data']);
/** Fields whose short values may be read in a variant; all others are hashed. */
const READABLE = new Set([...LISTS, 'origin']);
const READABLE_LENGTH = 48;

/** Reads all Vary lines. `ignored` are request fields that never reach the origin, so that it can't vary on them. */
export function varyOf(response: Fields, ignored: ReadonlySet<string>): Vary {
  const text = response.get('vary');
  if (text === undefined) return NONE;
  const names = new Set<string>();
  let unparsable = false;
  for (const member of text.split(',')) {
    const name = member.trim().toLowerCase();
    if (name === '') continue;
    if (name === '*') return STAR;
    if (!NAME.test(name)) unparsable = true;
    else if (!ignored.has(name)) names.add(name);
  }
  if (unparsable || names.size > MOST_NAMES) return UNPARSABLE;
  return names.size === 0 ? NONE : { kind: 'names', names: [...names].sort() };
}

/** The variant that a request selects among responses with this (sorted) Vary; '' without one. */
export function variantOf(vary: readonly string[], request: Fields, normalisation: VaryNormalisation): string {
  if (vary.length === 0) return '';
  let variant = '';
  for (let i = 0; i < vary.length; i++) {
    const name = vary[i]!;
    const value = selectingValue(name, request.get(name), normalisation);
    if (i > 0) variant += '\n';
    variant += value === undefined ? name : `${name}:${recorded(name, value)}`;
  }
  return variant;
}

/** The Accept-Encoding to send upstream so that the origin sees what the variant says; `undefined` leaves it out. */
export function upstreamAcceptEncoding(
  value: string | undefined,
  normalisation: Pick<VaryNormalisation, 'acceptEncoding' | 'preferredCodings'>,
): string | undefined {
  return normalisation.acceptEncoding === 'reduce' ? selectingCodings(value, normalisation.preferredCodings) : value;
}

/** What a client's Accept-Encoding comes down to: the set of codings, or the one of them that is preferred. */
export function selectingCodings(value: string | undefined, preference: CodingPreference | undefined): string {
  const set = reducedAcceptEncoding(value);
  return preference?.get(set) ?? set;
}

/** A preference over every set of codings: the first of `codings` that is in the set, else the set as it is. */
export function codingPreference(codings: readonly string[]): CodingPreference {
  const preference = new Map<string, string>();
  for (const set of SETS)
    for (const refusing of ['', ', identity;q=0']) {
      const coding = codings.find((one) => set.split(', ').includes(one));
      preference.set(set + refusing, coding ?? 'identity');
    }
  preference.set('identity;q=0', 'identity;q=0');
  return preference;
}

/**
 * The content codings that a client takes, of those that matter, in one order: `br, gzip, zstd`. Weights are dropped:
 * any coding that the client takes serves it. No field is `identity`, which every client takes.
 */
export function reducedAcceptEncoding(value: string | undefined): string {
  if (value === undefined) return 'identity';
  return USUAL.get(value) ?? reduced(value);
}

/** What browsers and players send, so that a hit does not parse it (0.4 µs). */
const USUAL: ReadonlyMap<string, string> = new Map([
  ['gzip, deflate, br, zstd', 'br, gzip, zstd'],
  ['gzip, deflate, br', 'br, gzip'],
  ['br, gzip, deflate', 'br, gzip'],
  ['gzip, deflate', 'gzip'],
  ['gzip', 'gzip'],
  ['identity', 'identity'],
]);

function reduced(value: string): string {
  let taken = 0;
  let named = 0;
  let identity: boolean | undefined;
  let any: boolean | undefined;
  for (const member of value.toLowerCase().split(',')) {
    const [coding = '', ...parameters] = member.split(';').map((part) => part.trim());
    const takes = weightOf(parameters) > 0;
    const bit = CODINGS.get(coding);
    if (bit !== undefined) {
      named |= bit;
      if (takes) taken |= bit;
    } else if (coding === 'identity') identity = takes;
    else if (coding === '*') any = takes;
  }
  if (any === true) taken |= ALL_CODINGS & ~named;
  const codings = SETS[taken]!;
  if (identity ?? any ?? true) return codings;
  return taken === 0 ? 'identity;q=0' : `${codings}, identity;q=0`;
}

const CODINGS: ReadonlyMap<string, number> = new Map([
  ['br', 1],
  ['gzip', 2],
  ['x-gzip', 2],
  ['zstd', 4],
]);
const ALL_CODINGS = 7;
const SETS = ['identity', 'br', 'gzip', 'br, gzip', 'zstd', 'br, zstd', 'gzip, zstd', 'br, gzip, zstd'];

/** Absent stays absent (it matches only absent), except where the normal form gives it a meaning. */
function selectingValue(name: string, value: string | undefined, normalisation: VaryNormalisation): string | undefined {
  if (name === 'accept-encoding' && normalisation.acceptEncoding === 'reduce')
    return selectingCodings(value, normalisation.preferredCodings);
  if (value === undefined) return undefined;
  if (name === 'accept-language') return normalLanguages(value, normalisation.acceptLanguage === 'sort');
  if (normalisation.listSpace === 'every-field' || LISTS.has(name)) return withoutListSpace(value);
  return value.trim();
}

/** Language ranges are case-insensitive (RFC 4647 §2); a weight of 1 is the same as none. */
function normalLanguages(value: string, sort: boolean): string {
  const ranges = value
    .toLowerCase()
    .split(',')
    .map((member) => member.split(';').map((part) => part.trim()))
    .filter(([range]) => range !== undefined && range !== '')
    .map(([range = '', ...parameters]) => ({ range, weight: weightOf(parameters) }));
  if (sort) ranges.sort((a, b) => b.weight - a.weight || (a.range < b.range ? -1 : a.range > b.range ? 1 : 0));
  return ranges.map(({ range, weight }) => (weight === 1 ? range : `${range};q=${weight}`)).join(',');
}

/** 0 … 1; 1 when absent, 0 when malformed. */
function weightOf(parameters: readonly string[]): number {
  for (const parameter of parameters) {
    if (!/^q\s*=/.test(parameter)) continue;
    const weight = parameter.slice(parameter.indexOf('=') + 1).trim();
    return /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(weight) ? Number(weight) : 0;
  }
  return 1;
}

/** Drops spaces around commas that are not in a quoted string, and empty members. */
function withoutListSpace(value: string): string {
  const members: string[] = [];
  let start = 0;
  let quoted = false;
  for (let at = 0; at <= value.length; at++) {
    const character = value[at];
    if (quoted && character === '\\' && at + 1 < value.length) at++;
    else if (character === '"') quoted = !quoted;
    else if (at >= value.length || (character === ',' && !quoted)) {
      const member = value.slice(start, at).trim();
      if (member !== '') members.push(member);
      start = at + 1;
    }
  }
  return members.join(',');
}

function recorded(name: string, value: string): string {
  if (READABLE.has(name) && value.length <= READABLE_LENGTH) return value;
  return hash('sha256', value, 'base64url');
}
