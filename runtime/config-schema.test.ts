import { expect, test } from 'vitest';
import { configSchema } from './config-schema.ts';

test('a schema says names as in the file, bounds, sets, what is required below the top, and nothing else', () => {
  const schema = configSchema('edge', {
    cacheDir: { kind: 'path', default: undefined, required: true, help: 'A.' },
    memory: { kind: 'bytes', default: 1 << 20, min: 1, help: 'B.' },
    services: {
      kind: 'sections',
      most: 3,
      help: 'C.',
      of: {
        name: { kind: 'string', default: undefined, required: true, values: ['a', 'b'], help: 'D.' },
        statusTtl: {
          kind: 'mapping',
          keys: '\\d+',
          what: 'status',
          of: { kind: 'integer', default: undefined, help: 'E.' },
          help: 'F.',
        },
      },
    },
  });
  expect(schema).toMatchObject({
    title: 'nearcast edge',
    additionalProperties: false,
    properties: {
      'cache-dir': { type: 'string', description: 'A.' },
      memory: { description: 'B. Default: 1MiB.', anyOf: [{ type: 'number', minimum: 1 }, { type: 'string' }] },
      services: {
        type: 'array',
        maxItems: 3,
        items: {
          required: ['name'],
          properties: {
            name: { enum: ['a', 'b'] },
            'status-ttl': { patternProperties: { '^(?:\\d+)$': { type: 'integer' } } },
          },
        },
      },
    },
  });
  expect(schema).not.toHaveProperty('required');
});
