/** An edge with a configuration file that a test rewrites. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { Edge, type EdgeSetup } from './edge.ts';

export class Configured {
  readonly edge: Edge;
  readonly folder: string;
  readonly file: string;

  private constructor(edge: Edge, folder: string) {
    this.edge = edge;
    this.folder = folder;
    this.file = join(folder, 'edge.yaml');
  }

  /** Starts it with this configuration, as an object or as text. `folder` holds the file, and goes with it. */
  static async start(configuration: unknown, setup: Partial<EdgeSetup> = {}, folder?: string): Promise<Configured> {
    const own = folder ?? (await configurationFolder());
    await writeFile(join(own, 'edge.yaml'), text(configuration));
    const more = ['--config', join(own, 'edge.yaml'), ...(setup.more ?? [])];
    return new Configured(await Edge.start({ upstreams: [], ...setup, more }), own);
  }

  /** Replaces the file and has it read. */
  async reload(configuration: unknown): Promise<void> {
    await writeFile(this.file, text(configuration));
    await this.edge.reload();
  }

  async stop(): Promise<void> {
    await this.edge.stop();
    await rm(this.folder, { recursive: true, force: true });
  }
}

export function configurationFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'nearcast-tests-configuration-'));
}

function text(configuration: unknown): string {
  return typeof configuration === 'string' ? configuration : stringify(configuration);
}
