/** Options as people read and write them: flags, placeholders, defaults, addresses. */
import type { ListenAddress, OptionKind, OptionSpec } from './option-table.ts';

export function flagName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

export function addressText(address: ListenAddress): string {
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

/** `DIR`, `SIZE`, `HOST:PORT` … */
export function placeholder(spec: OptionSpec): string {
  if (spec.placeholder !== undefined) return spec.placeholder;
  if (spec.values !== undefined) return spec.values.join('|');
  const byKind: Partial<Record<OptionKind, string>> = {
    integer: 'N',
    number: 'N',
    bytes: 'SIZE',
    duration: 'TIME',
    address: 'HOST:PORT',
    url: 'URL',
    urls: 'URL',
    path: 'PATH',
  };
  return byKind[spec.kind] ?? 'TEXT';
}

/** The default as it would be written; `none` without one. */
export function defaultText(spec: OptionSpec): string {
  if (spec.default === undefined) return 'none';
  if (spec.kind === 'bytes') return bytesText(spec.default as number);
  if (spec.kind === 'duration') return millisText(spec.default as number);
  if (spec.kind === 'address') return addressText(spec.default as ListenAddress);
  if (Array.isArray(spec.default)) return spec.default.length === 0 ? 'none' : spec.default.join(',');
  return spec.default === '' ? 'none' : String(spec.default);
}

function bytesText(bytes: number): string {
  for (const [unit, size] of [
    ['GiB', 2 ** 30],
    ['MiB', 2 ** 20],
    ['KiB', 2 ** 10],
  ] as const)
    if (bytes >= size && bytes % size === 0) return `${bytes / size}${unit}`;
  return String(bytes);
}

function millisText(millis: number): string {
  for (const [unit, size] of [
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1000],
  ] as const)
    if (millis >= size && millis % size === 0) return `${millis / size}${unit}`;
  return `${millis}ms`;
}
