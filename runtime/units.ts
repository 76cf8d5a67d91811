/** Sizes, times and addresses as people write them. Each answers `undefined` for what is not one. */
import type { ListenAddress } from './option-table.ts';

const BYTES: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};
const MILLIS: Readonly<Record<string, number>> = { '': 1, ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `256MiB`, `10GB`, `4096` → bytes. */
export function parseBytes(text: string): number | undefined {
  return scaled(text, BYTES);
}

/** `500ms`, `10s`, `5m`, `12h`, `1d`, `250` → milliseconds. */
export function parseMillis(text: string): number | undefined {
  return scaled(text, MILLIS);
}

/** `127.0.0.1:8080`, `[::1]:8080`, `:8080` (all addresses). */
export function parseAddress(text: string): ListenAddress | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]\s]*)):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const port = Number(match[3]);
  if (port > 65_535) return undefined;
  return { host: match[1] ?? (match[2] || '::'), port };
}

function scaled(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([A-Za-z]*)$/.exec(text.trim());
  if (match === null) return undefined;
  const unit = units[match[2]!.toLowerCase()];
  return unit === undefined ? undefined : Math.round(Number(match[1]) * unit);
}
