import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Registry, Tally } from '../runtime/metrics.ts';
import { optionsMarkdown, parseOptions } from '../runtime/options.ts';
import { RUN_OPTIONS } from './command.ts';
import { FILL_METRICS, tallyProgress } from './counters.ts';
import { FILL_OPTIONS, fillSettings } from './options.ts';
import { NO_FILL } from './progress.ts';

/** Tables as they are meant: the formatter pads their cells. */
const plain = (markdown: string) =>
  markdown.replace(/ {2,}/g, ' ').replace(/-{3,}/g, '---').replaceAll('| --- ', '|---').replaceAll('--- |', '---|');
const readme = async () => plain(await readFile(join(import.meta.dirname, 'README.md'), 'utf8'));

test('the README has the options of the table, as they are', async () => {
  expect(await readme()).toContain(plain(optionsMarkdown(RUN_OPTIONS)));
  expect(await readme()).toContain(plain(optionsMarkdown(FILL_OPTIONS)));
});

test('the README has every metric with its sentences', async () => {
  const text = await readme();
  for (const [name, { help, advice }] of Object.entries(FILL_METRICS))
    expect(text).toContain(`| \`nearcast_fill_${name}\` | ${help} | ${advice} |`);
});

test('the README names every way in which a source can refuse, and every fault of the command', async () => {
  const text = await readme();
  const sources = await Promise.all(
    ['asset-fetch.ts', 'command.ts', 'control-client.ts'].map((file) =>
      readFile(join(import.meta.dirname, file), 'utf8'),
    ),
  );
  const words = sources.flatMap((source) =>
    [...source.matchAll(/readonly why: '([a-z-]+)'|new Fault\(\s*'([a-z-]+)'/g)].map(
      (match) => (match[1] ?? match[2])!,
    ),
  );
  expect(words.length).toBeGreaterThan(10);
  for (const word of words) expect(text).toContain(`\`${word}\``);
});

test('the metrics are the progress at the time of the scrape', async () => {
  const tally = new Tally(FILL_METRICS);
  const registry = new Registry();
  let progress = NO_FILL;
  tally.register(registry, 'nearcast_fill', () => tallyProgress(tally, progress));
  expect(await registry.metrics()).toContain('nearcast_fill_state{state="idle"} 1\n');
  progress = { ...NO_FILL, manifestVersion: 7, state: 'done', bytesBySource: { peer: 5, region: 1, origin: 0 } };
  const text = await registry.metrics();
  expect(text).toContain('nearcast_fill_manifest_version 7\n');
  expect(text).toContain('nearcast_fill_state{state="idle"} 0\n');
  expect(text).toContain('nearcast_fill_received_bytes{source="peer"} 5\n');
});

test('the options become one worker’s part of the cap, its window and its patience', () => {
  const options = (...argv: string[]) => parseOptions(FILL_OPTIONS, { part: 'edge', argv, env: {} });
  expect(fillSettings(options(), 2)).toEqual({
    limits: { bytesPerSecond: undefined, parallel: 4, patienceMillis: 20_000 },
    window: { fromMinute: 120, toMinute: 840, zone: 'UTC' },
  });
  const settings = fillSettings(options('--fill-rate', '150MB', '--fill-zone', 'Asia/Tokyo'), 4);
  expect(settings.limits.bytesPerSecond).toBe(37_500_000);
  expect(settings.window.zone).toBe('Asia/Tokyo');
  expect(() => fillSettings(options('--fill-window', 'nights'), 1)).toThrow("'nights' is not a span of the day");
  expect(() => fillSettings(options('--fill-zone', 'Mars'), 1)).toThrow("'Mars' is not a time zone");
});
