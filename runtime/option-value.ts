/** One option's value from text or YAML: converted by its kind, held to its bounds, or a fault that names the place. */
import { EXIT, Fault } from './errors.ts';
import type { OptionKind, OptionSpec } from './option-table.ts';
import { defaultText, placeholder } from './option-text.ts';
import { parseAddress, parseBytes, parseMillis } from './units.ts';

/** A usage fault: exit code 2. */
export function usage(code: string, message: string, fix: string): Fault {
  return new Fault(code, message, { source: 'operator', fix, exit: EXIT.usage });
}

/** The value of `raw`, or a usage fault. */
export function convert(spec: OptionSpec, raw: unknown, place: string): unknown {
  const bad = (why: string): Fault =>
    usage('option-value', `${place}: ${why}`, `give ${placeholder(spec)}, e.g. ${example(spec)}`);
  const text = Array.isArray(raw) ? raw.map(String).join(',') : String(raw);
  switch (spec.kind) {
    case 'boolean':
      if (raw === true || text === 'true' || text === '1' || text === 'yes') return true;
      if (raw === false || text === 'false' || text === '0' || text === 'no') return false;
      throw bad(`'${text}' is neither true nor false`);
    case 'integer':
    case 'number': {
      const value = Number(text);
      if (text.trim() === '' || !Number.isFinite(value) || (spec.kind === 'integer' && !Number.isSafeInteger(value)))
        throw bad(`'${text}' is not ${spec.kind === 'integer' ? 'a whole number' : 'a number'}`);
      return bounded(spec, value, bad);
    }
    case 'bytes':
    case 'duration': {
      const value = spec.kind === 'bytes' ? parseBytes(text) : parseMillis(text);
      if (value === undefined) throw bad(`'${text}' is not a ${spec.kind === 'bytes' ? 'size' : 'time'}`);
      return bounded(spec, value, bad);
    }
    case 'address': {
      const value = parseAddress(text);
      if (value === undefined) throw bad(`'${text}' is not host:port`);
      return value;
    }
    case 'url':
      return url(text, bad);
    case 'urls':
      return Object.freeze(
        text
          .split(',')
          .filter((one) => one !== '')
          .map((one) => url(one, bad)),
      );
    case 'list': {
      const members = text.split(',').filter((one) => one !== '');
      for (const one of members)
        if (spec.values !== undefined && !spec.values.includes(one))
          throw bad(`'${one}' is none of ${spec.values.join(', ')}`);
      return Object.freeze(members);
    }
    case 'string':
    case 'path':
      if (spec.values !== undefined && !spec.values.includes(text))
        throw bad(`'${text}' is none of ${spec.values.join(', ')}`);
      return text;
    default:
      throw new Error(`unreachable: ${String(spec.kind)}`);
  }
}

function bounded(spec: OptionSpec, value: number, bad: (why: string) => Fault): number {
  if (spec.min !== undefined && value < spec.min) throw bad(`${value} is below the least, ${spec.min}`);
  if (spec.max !== undefined && value > spec.max) throw bad(`${value} is above the most, ${spec.max}`);
  return value;
}

function url(text: string, bad: (why: string) => Fault): string {
  const parsed = URL.parse(text);
  if (parsed === null || (parsed.protocol !== 'http:' && parsed.protocol !== 'https:') || parsed.hostname === '')
    throw bad(`'${text}' is not an http or https URL`);
  return text.replace(/\/+$/, '');
}

function example(spec: OptionSpec): string {
  const fallback = defaultText(spec);
  if (fallback !== 'none') return fallback;
  const byKind: Partial<Record<OptionKind, string>> = {
    integer: '1',
    number: '1',
    bytes: '256MiB',
    duration: '10s',
    address: '127.0.0.1:8080',
    url: 'http://127.0.0.1:8000',
    urls: 'http://127.0.0.1:8000',
    path: './folder',
  };
  return byKind[spec.kind] ?? spec.values?.[0] ?? 'text';
}
