/**
 * Sites and their prefixes as an operator writes them: a YAML file, checked as a whole before any of it is believed.
 * Every complaint names file, line and column. Keeping the topology is left to the state.
 */
import { readFile } from 'node:fs/promises';
import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, type YAMLMap } from 'yaml';
import { isZone } from '../fill/window.ts';
import { EXIT, Fault } from '../runtime/errors.ts';
import { nearest } from '../runtime/nearest.ts';
import { parsePrefix } from './prefixes.ts';

/** One ISP location. */
export interface Site {
  readonly id: string;
  readonly name: string;
  /** Canonical CIDR texts. */
  readonly prefixes: readonly string[];
  /** IANA name. */
  readonly timeZone: string;
  /** Sites to try after this one, in order. */
  readonly next: readonly string[];
}

/** Ids are labels of pathways, metrics and URLs: letters, digits, `-`, `_`, `.`; at most 63. */
export const ID_PATTERN = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62})$/;

const SITE_KEYS = ['id', 'name', 'prefixes', 'timeZone', 'next'] as const;

/** Reads and checks a topology file. Throws a usage `Fault` that names the place. */
export async function readTopology(file: string): Promise<Site[]> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new Fault('topology-unreadable', `${file}: ${(error as NodeJS.ErrnoException).code ?? String(error)}`, {
      source: 'operator',
      fix: 'name a topology file that this user may read with --topology',
      exit: EXIT.usage,
      cause: error,
    });
  }
  return parseTopology(text, file);
}

/** Checks the text of a topology; `file` is for the messages. */
export function parseTopology(text: string, file: string): Site[] {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const wrong = (node: { range?: readonly number[] | null } | null | undefined, why: string, fix: string): Fault => {
    const { line, col } = lines.linePos(node?.range?.[0] ?? 0);
    return new Fault('topology', `${file}:${line}:${col}: ${why}`, { source: 'operator', fix, exit: EXIT.usage });
  };
  const broken = document.errors[0];
  if (broken !== undefined)
    throw wrong({ range: broken.pos }, broken.message.split('\n')[0]!, 'correct the YAML there');
  const root = document.contents;
  if (!isMap(root)) throw wrong(null, 'the top must be a map with the key sites', 'write `sites:` and a list below it');
  checkKeys(root, ['sites'], wrong);
  const list = root.get('sites', true) as Node | undefined;
  if (!isSeq(list) || list.items.length === 0)
    throw wrong(list ?? root, 'sites must be a list with at least one site', 'write `- id: a` and its prefixes');

  const sites: Site[] = [];
  const seenIds = new Set<string>();
  const seenPrefixes = new Map<string, string>();
  const nextNodes: { id: string; node: Node }[] = [];
  for (const item of list.items) {
    if (!isMap(item)) throw wrong(item as Node, 'a site must be a map', 'write `- id: a`');
    checkKeys(item, SITE_KEYS, wrong);
    const id = textOf(item, 'id', undefined, wrong);
    if (!ID_PATTERN.test(id))
      throw wrong(item.get('id', true) as Node, `'${id}' is not an id`, 'use letters, digits, - _ .');
    if (seenIds.has(id))
      throw wrong(item.get('id', true) as Node, `site '${id}' is there twice`, 'give each site its own id');
    seenIds.add(id);
    const timeZone = textOf(item, 'timeZone', 'UTC', wrong);
    if (!isZone(timeZone))
      throw wrong(
        item.get('timeZone', true) as Node,
        `'${timeZone}' is not a time zone`,
        'give an IANA name, e.g. Europe/Berlin',
      );
    const prefixes = listOf(item, 'prefixes', wrong).map((node) => {
      const prefix = parsePrefix(String(node.value));
      if ('wrong' in prefix) throw wrong(node, prefix.wrong, 'write addresses as 192.0.2.0/24 or 2001:db8::/32');
      const other = seenPrefixes.get(prefix.text);
      if (other !== undefined)
        throw wrong(node, `${prefix.text} belongs to site '${other}' already`, 'leave it at one site');
      seenPrefixes.set(prefix.text, id);
      return prefix.text;
    });
    const next = listOf(item, 'next', wrong).map((node) => {
      nextNodes.push({ id: String(node.value), node });
      return String(node.value);
    });
    sites.push({ id, name: textOf(item, 'name', id, wrong), prefixes, timeZone, next });
  }
  for (const { id, node } of nextNodes)
    if (!seenIds.has(id)) {
      const close = nearest(id, [...seenIds]);
      throw wrong(
        node,
        `there is no site '${id}'`,
        close === undefined ? 'name a site of this file' : `did you mean ${close}?`,
      );
    }
  return sites;
}

type Wrong = (node: { range?: readonly number[] | null } | null | undefined, why: string, fix: string) => Fault;

function checkKeys(map: YAMLMap, known: readonly string[], wrong: Wrong): void {
  for (const pair of map.items) {
    const key = isScalar(pair.key) ? String(pair.key.value) : '';
    if (known.includes(key)) continue;
    const close = nearest(key, known);
    throw wrong(
      pair.key as Node,
      `key '${key}' is unknown`,
      close === undefined ? `use ${known.join(', ')}` : `did you mean ${close}?`,
    );
  }
}

function textOf(map: YAMLMap, key: string, fallback: string | undefined, wrong: Wrong): string {
  const node = map.get(key, true) as Node | undefined;
  if (node === undefined && fallback !== undefined) return fallback;
  if (!isScalar(node) || node.value === null || typeof node.value === 'boolean')
    throw wrong(node ?? map, `${key} must be a text`, `write \`${key}: …\``);
  return String(node.value);
}

function listOf(map: YAMLMap, key: string, wrong: Wrong) {
  const node = map.get(key, true) as Node | undefined;
  if (node === undefined) return [];
  if (!isSeq(node)) throw wrong(node, `${key} must be a list`, `write \`${key}: [ … ]\``);
  return node.items.map((item) => {
    if (!isScalar(item) || item.value === null)
      throw wrong(item as Node, `${key} must be a list of texts`, 'write plain values');
    return item;
  });
}
