/** A JSON schema (draft 2020-12) of a configuration file, from the same shape that reads it: for editors. Pure. */
import { isOption, type Shape, type ShapeNode } from './config-shape.ts';
import type { OptionKind, OptionSpec } from './option-table.ts';
import { defaultText, flagName } from './option-text.ts';

type Schema = Record<string, unknown>;

/** The schema of a part's file. */
export function configSchema(part: string, shape: Shape): Schema {
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: `nearcast ${part}`,
    description: `Configuration of nearcast ${part}, for --config FILE.`,
    ...sectionSchema(shape, false),
  };
}

function sectionSchema(shape: Shape, inner: boolean): Schema {
  const required = Object.entries(shape)
    .filter(([, node]) => inner && isOption(node) && node.required === true)
    .map(([name]) => flagName(name));
  return {
    type: 'object',
    additionalProperties: false,
    properties: Object.fromEntries(Object.entries(shape).map(([name, node]) => [flagName(name), nodeSchema(node)])),
    // At the top the command line or the environment may give what the file does not.
    ...(required.length === 0 ? {} : { required }),
  };
}

function nodeSchema(node: ShapeNode): Schema {
  switch (node.kind) {
    case 'section':
      return { description: node.help, ...sectionSchema(node.of, true) };
    case 'sections':
      return { description: node.help, type: 'array', maxItems: node.most, items: sectionSchema(node.of, true) };
    case 'mapping':
      return {
        description: node.help,
        type: 'object',
        patternProperties: { [`^(?:${node.keys})$`]: optionSchema(node.of) },
        additionalProperties: false,
      };
    default:
      return optionSchema(node);
  }
}

function optionSchema(spec: OptionSpec): Schema {
  const text = defaultText(spec);
  return {
    description: text === 'none' ? spec.help : `${spec.help} Default: ${text}.`,
    ...valueSchema(spec),
  };
}

/** Sizes and times are numbers or text with a unit. */
const PATTERNS: Partial<Record<OptionKind, string>> = {
  bytes: '^\\d+(?:\\.\\d+)? ?(?:[KkMmGgTt][Ii]?)?[Bb]?$',
  duration: '^\\d+(?:\\.\\d+)? ?(?:ms|[smhd])?$',
  url: '^https?://',
};

function valueSchema(spec: OptionSpec): Schema {
  const bounds = {
    ...(spec.min === undefined ? {} : { minimum: spec.min }),
    ...(spec.max === undefined ? {} : { maximum: spec.max }),
  };
  switch (spec.kind) {
    case 'boolean':
      return { type: 'boolean' };
    case 'integer':
    case 'number':
      return { type: spec.kind, ...bounds };
    case 'bytes':
    case 'duration':
      return {
        anyOf: [
          { type: 'number', ...bounds },
          { type: 'string', pattern: PATTERNS[spec.kind] },
        ],
      };
    case 'list':
    case 'urls': {
      const one =
        spec.kind === 'urls' ? { type: 'string', pattern: PATTERNS.url } : { type: 'string', ...enumOf(spec) };
      return { anyOf: [{ type: 'string' }, { type: 'array', items: one }] };
    }
    case 'url':
      return { type: 'string', pattern: PATTERNS.url };
    default:
      return { type: 'string', ...enumOf(spec) };
  }
}

function enumOf({ values }: OptionSpec): Schema {
  return values === undefined ? {} : { enum: values };
}
