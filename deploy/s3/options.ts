/** Every option of the box's S3 server, once. */
import type { OptionsOf, OptionTable } from '../../runtime/options.ts';

export const S3_OPTIONS = {
  listen: {
    kind: 'address',
    default: { host: '127.0.0.1', port: 18004 },
    help: 'Where the S3 API answers, path-style.',
  },
  dir: { kind: 'path', default: undefined, required: true, placeholder: 'DIR', help: 'Folder of the objects.' },
  bucket: { kind: 'string', default: 'content', placeholder: 'NAME', help: 'The one bucket it holds.' },
  accessKeyFile: {
    kind: 'path',
    default: undefined,
    required: true,
    placeholder: 'FILE',
    help: 'File with the access key id that requests must be signed with.',
  },
  secretKeyFile: {
    kind: 'path',
    default: undefined,
    required: true,
    placeholder: 'FILE',
    help: 'File with the secret access key.',
  },
} as const satisfies OptionTable;

export type S3Options = OptionsOf<typeof S3_OPTIONS>;
