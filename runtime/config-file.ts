/**
 * A YAML file read against a shape: values with their places, and every problem with file, line, column, key and the
 * nearest right name. Any text gives values or problems, never anything else. What values mean together is the part's.
 */
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { isOption, type Shape, type ShapeNode } from './config-shape.ts';
import { Fault } from './errors.ts';
import { nearest } from './nearest.ts';
import type { OptionSpec } from './option-table.ts';
import { flagName, placeholder } from './option-text.ts';
import { convert, usage } from './option-value.ts';

/** Longer is no configuration. */
const MOST_BYTES = 4 << 20;

export class ConfigDocument {
  readonly file: string;
  /** What the file holds, by the shape's names. */
  readonly values: Readonly<Record<string, unknown>>;
  readonly problems: readonly Fault[];
  readonly #places: ReadonlyMap<object, ReadonlyMap<string, string>>;

  constructor(file: string, reading: Reading) {
    this.file = file;
    this.values = reading.values;
    this.problems = reading.problems;
    this.#places = reading.places;
  }

  /** `file:line:column: services[0].hosts` of a key in `values` or in a section below it; the file alone without one. */
  place(section: object, key: string): string {
    return this.#places.get(section)?.get(key) ?? this.file;
  }
}

type Places = Map<object, Map<string, string>>;

/** Reads a text; `file` is what places name. Never throws. */
export function readConfigText(text: string, file: string, shape: Shape): ConfigDocument {
  const reading: Reading = { values: {}, problems: [], places: new Map() };
  if (text.length > MOST_BYTES) {
    reading.problems.push(syntax(file, `more than ${MOST_BYTES} characters`, 'give a smaller file'));
    return new ConfigDocument(file, reading);
  }
  const lines = new LineCounter();
  let document: ReturnType<typeof parseDocument>;
  try {
    document = parseDocument(text, { lineCounter: lines, logLevel: 'silent' });
  } catch (error) {
    reading.problems.push(syntax(file, String(error).split('\n')[0]!, 'correct the YAML'));
    return new ConfigDocument(file, reading);
  }
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  const [broken] = document.errors;
  if (broken !== undefined)
    reading.problems.push(syntax(at(broken.pos[0]), broken.message.split('\n')[0]!, 'correct the YAML there'));
  else if (document.contents !== null && !emptyScalar(document.contents)) {
    const resolve = (node: unknown) => (isAlias(node) ? node.resolve(document) : (node as Node | null | undefined));
    new Reader(reading, at, resolve).top(document.contents, shape, file);
  }
  return new ConfigDocument(file, reading);
}

interface Reading {
  readonly values: Record<string, unknown>;
  readonly problems: Fault[];
  readonly places: Places;
}

type At = (offset: number) => string;
type Resolve = (node: unknown) => Node | null | undefined;

class Reader {
  readonly #reading: Reading;
  readonly #at: At;
  readonly #resolve: Resolve;

  constructor(reading: Reading, at: At, resolve: Resolve) {
    this.#reading = reading;
    this.#at = at;
    this.#resolve = resolve;
  }

  top(contents: unknown, shape: Shape, file: string): void {
    const node = this.#resolve(contents);
    if (!isMap(node))
      return this.#problem(syntax(file, 'the top must be a map of options', 'write `option: value` lines'));
    this.#map(node, shape, '', this.#reading.values);
  }

  /** A map against a shape, into `values`. `path` is empty at the top, else ends with a dot. */
  #map(node: Node, shape: Shape, path: string, values: Record<string, unknown>): void {
    if (!isMap(node)) return;
    const places = new Map<string, string>();
    this.#reading.places.set(values, places);
    const known = new Map(Object.keys(shape).map((name) => [flagName(name), name]));
    for (const pair of node.items) {
      const keyNode = this.#resolve(pair.key);
      const key = isScalar(keyNode) ? String(keyNode.value) : '';
      const at = this.#at((pair.key as Node | null)?.range?.[0] ?? node.range?.[0] ?? 0);
      const name = known.get(key);
      if (name === undefined) {
        const close = nearest(key, [...known.keys()]);
        const fix = close === undefined ? `known here: ${[...known.keys()].join(', ')}` : `did you mean ${close}?`;
        this.#problem(
          usage(
            'unknown-option',
            `${at}: key '${path}${key}' is unknown`,
            path === '' && close === undefined ? 'see --help' : fix,
          ),
        );
        continue;
      }
      const place = `${at}: ${path}${key}`;
      places.set(name, place);
      const value = this.#value(this.#resolve(pair.value), shape[name]!, place, `${path}${key}`);
      if (value !== undefined) values[name] = value;
    }
    for (const [name, spec] of Object.entries(shape))
      if (isOption(spec) && spec.required === true && path !== '' && !places.has(name)) {
        const at = this.#at(node.range?.[0] ?? 0);
        const key = flagName(name);
        this.#problem(usage('option-missing', `${at}: ${path}${key} is missing`, `give ${key}: ${placeholder(spec)}`));
      }
  }

  #value(node: Node | null | undefined, spec: ShapeNode, place: string, path: string): unknown {
    switch (spec.kind) {
      case 'section': {
        if (!isMap(node)) return this.#wrong(place, 'must be a map', 'write `key: value` lines below it');
        const values: Record<string, unknown> = {};
        this.#map(node, spec.of, `${path}.`, values);
        return values;
      }
      case 'sections': {
        if (!isSeq(node)) return this.#wrong(place, 'must be a list', 'write a `- ` before each member');
        if (node.items.length > spec.most)
          return this.#wrong(place, `has ${node.items.length} members, more than ${spec.most}`, 'give fewer');
        return node.items.flatMap((item, index) => {
          const member = this.#resolve(item);
          const itsPath = `${path}[${index}]`;
          const itsPlace = `${this.#at(member?.range?.[0] ?? node.range?.[0] ?? 0)}: ${itsPath}`;
          const value = this.#value(member, { ...spec, kind: 'section' }, itsPlace, itsPath);
          return value === undefined ? [] : [value];
        });
      }
      case 'mapping':
        return this.#mapping(node, spec, place, path);
      default:
        return this.#scalar(node, spec, place);
    }
  }

  #mapping(
    node: Node | null | undefined,
    spec: Extract<ShapeNode, { kind: 'mapping' }>,
    place: string,
    path: string,
  ): unknown {
    if (!isMap(node)) return this.#wrong(place, 'must be a map', `write \`${spec.what}: value\` lines below it`);
    const keys = new RegExp(`^(?:${spec.keys})$`);
    const values: Record<string, unknown> = Object.create(null);
    for (const pair of node.items) {
      const keyNode = this.#resolve(pair.key);
      const key = isScalar(keyNode) ? String(keyNode.value) : '';
      const at = this.#at((pair.key as Node | null)?.range?.[0] ?? node.range?.[0] ?? 0);
      if (!keys.test(key)) {
        this.#problem(
          usage('option-value', `${at}: ${path}: '${key}' is no ${spec.what}`, `give a ${spec.what} as key`),
        );
        continue;
      }
      const value = this.#scalar(this.#resolve(pair.value), spec.of, `${at}: ${path}.${key}`);
      if (value !== undefined) values[key] = value;
    }
    return values;
  }

  #scalar(node: Node | null | undefined, spec: OptionSpec, place: string): unknown {
    const many = spec.kind === 'list' || spec.kind === 'urls';
    let raw: unknown;
    if (isScalar(node)) raw = node.value;
    else if (many && isSeq(node)) {
      const members = node.items.map((item) => this.#resolve(item));
      if (!members.every((member) => isScalar(member) && member.value !== null))
        return this.#wrong(place, 'must be a list of single values', `give ${placeholder(spec)}`);
      raw = members.map((member) => String((member as { value?: unknown }).value));
    } else
      return this.#wrong(
        place,
        many ? 'must be a single value or a list' : 'must be a single value',
        `give ${placeholder(spec)}`,
      );
    if (raw === null || raw === undefined) return this.#wrong(place, 'has no value', `give ${placeholder(spec)}`);
    try {
      return convert(spec, raw, place);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      return this.#problem(error);
    }
  }

  #wrong(place: string, why: string, fix: string): undefined {
    return this.#problem(usage('option-value', `${place}: ${why}`, fix));
  }

  #problem(fault: Fault): undefined {
    this.#reading.problems.push(fault);
  }
}

function emptyScalar(node: unknown): boolean {
  return isScalar(node) && node.value === null;
}

function syntax(place: string, why: string, fix: string): Fault {
  return usage('config-syntax', `${place}: ${why}`, fix);
}
