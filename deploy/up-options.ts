/** Every option of the CDN in a box, once: the parser, `--help` and the README's table come from here. */
import type { OptionsOf, OptionTable } from '../runtime/options.ts';

export const UP_OPTIONS = {
  content: {
    kind: 'path',
    default: undefined,
    placeholder: 'DIR',
    help: 'Serves the files of this folder (DIR/a/b.mp4 is /a/b.mp4) instead of the sample film and files.',
  },
  state: {
    kind: 'path',
    default: './.nearcast/box',
    placeholder: 'DIR',
    help: 'Folder of everything that is kept between runs, and of endpoints.json; made when missing.',
  },
  portBase: {
    kind: 'integer',
    default: 18_000,
    min: 1024,
    max: 65_500,
    help: 'First of the 18 ports that it takes on 127.0.0.1, in this order: steering, control, origin, and the rest.',
  },
  restartAfter: {
    kind: 'duration',
    default: 15_000,
    min: 0,
    help: 'How long an edge that was killed stays away, so that a failover can be watched.',
  },
  largeFile: {
    kind: 'boolean',
    default: true,
    help: 'Makes the sample file of 200 MiB; --no-large-file starts sooner.',
  },
  quiet: { kind: 'boolean', default: false, help: 'Prints neither the table nor events.' },
} as const satisfies OptionTable;

export type UpOptions = OptionsOf<typeof UP_OPTIONS>;
