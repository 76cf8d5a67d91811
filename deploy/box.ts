/**
 * The CDN in a box: starts every process in order, keeps them running, keeps endpoints.json true, and ends them all.
 * What runs where is `box-plan.ts`, one process is `box-process.ts`; what is printed is the caller's.
 */
import { randomBytes } from 'node:crypto';
import { access, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { Closing } from '../runtime/closing.ts';
import { makeFolder } from '../runtime/folder.ts';
import { claimFolder, claimPorts, folderFault } from './box-claim.ts';
import { type BoxPlan, BUCKET, boxPlan, SITES } from './box-plan.ts';
import { BoxProcess } from './box-process.ts';
import { type ContentChange, sourceFiles, uploadContent } from './content.ts';
import { listenToControl } from './control-events.ts';
import { makeSampleFiles } from './sample-files.ts';
import type { UpOptions } from './up-options.ts';

const FILM = fileURLToPath(new URL('./content', import.meta.url));

/** What endpoints.json holds. */
export interface Endpoints {
  readonly steering: string;
  readonly control: string;
  readonly origin: string;
  readonly originAdmin: string;
  readonly s3: string;
  /** The stand-in for Cloudflare. */
  readonly standby: string;
  readonly region: { readonly id: string; readonly url: string; readonly admin: string; readonly pid: number };
  readonly edges: readonly {
    readonly id: string;
    readonly site: string;
    readonly url: string;
    readonly admin: string;
    /** The edge's main process: `kill -9` of it ends the edge. */
    readonly pid: number;
  }[];
  /** Every process by name, the box itself as `box`. */
  readonly pids: Readonly<Record<string, number>>;
}

export class Box {
  readonly plan: BoxPlan;
  readonly #options: UpOptions;
  readonly #tell: (line: string) => void;
  readonly #closing = new Closing();
  readonly #processes: BoxProcess[] = [];
  #complete = false;
  #writing: Promise<void> = Promise.resolve();

  /** `tell` is given one line per event. */
  constructor(options: UpOptions, tell: (line: string) => void) {
    this.#options = options;
    this.#tell = tell;
    this.plan = boxPlan(options);
  }

  /** Starts everything; resolves when all of it serves, with what changed in the bucket. Throws what stands in the way. */
  async start(): Promise<ContentChange> {
    const { plan } = this;
    const options = this.#options;
    const { files } = plan;
    // Unreadable content is said before anything is made.
    if (options.content !== undefined) await sourceFiles(options.content);
    await this.#makeFolders();
    const claim = await claimFolder(options.state);
    this.#closing.add('folder', claim, () => claim.release());
    await rm(files.endpoints, { force: true });
    await claimPorts(plan.ports, claim.afterKill);
    const credentials = await this.#credentials();
    await writeFile(files.topology, stringify({ sites: SITES }));
    const samples = options.content === undefined ? makeSampleFiles(files.samples, options.largeFile) : undefined;
    await Promise.all([samples, this.#run(plan.s3)]);
    const content = await uploadContent(
      options.content === undefined ? [FILM, files.samples] : [options.content],
      { endpoint: plan.s3.url, bucket: BUCKET, ...credentials },
      files.uploaded,
    );
    await this.#run(plan.origin);
    await this.#run(plan.controlPlane);
    this.#listen();
    await Promise.all([plan.region, plan.standby, ...plan.edges].map((process) => this.#run(process)));
    this.#complete = true;
    await this.#writeEndpoints();
    this.#closing.add('endpoints', files.endpoints, async () => {
      this.#complete = false;
      await this.#writing;
      await rm(files.endpoints, { force: true });
    });
    return content;
  }

  /** Ends everything it began. */
  async close(): Promise<void> {
    this.#complete = false;
    await Promise.all(this.#processes.map((process) => process.close()));
    await this.#closing.close();
  }

  async #makeFolders(): Promise<void> {
    const { files } = this.plan;
    try {
      for (const folder of [files.logs, files.samples, dirname(files.accessKey)]) makeFolder(folder);
    } catch (error) {
      throw folderFault(this.#options.state, error);
    }
  }

  /** Keys of the box's S3, made at the first start and readable by this user alone. */
  async #credentials(): Promise<{ accessKeyId: string; secretAccessKey: string }> {
    const { accessKey, secretKey } = this.plan.files;
    const made = async (file: string, value: string) => {
      const isThere = await access(file).then(
        () => true,
        () => false, // Not there yet.
      );
      if (!isThere) await writeFile(file, `${value}\n`, { mode: 0o600 });
      return (await readFile(file, 'utf8')).trim();
    };
    return {
      accessKeyId: await made(accessKey, randomBytes(10).toString('hex').toUpperCase()),
      secretAccessKey: await made(secretKey, randomBytes(30).toString('base64url')),
    };
  }

  async #run(plan: BoxPlan['s3']): Promise<void> {
    const pause = plan.kind === 'edge' ? this.#options.restartAfter : 0;
    const process = new BoxProcess(plan, this.plan.files.logs, pause, {
      serving: (served) => {
        if (!this.#complete) return;
        this.#tell(`${served.plan.name} serves again (pid ${served.pid})`);
        void this.#writeEndpoints();
      },
      ended: (gone, how, restartMillis) => {
        this.#tell(`${gone.plan.name} ended (${how}); it starts again in ${restartMillis / 1000} s`);
      },
    });
    this.#processes.push(process);
    await process.start();
  }

  #listen(): void {
    const stop = new AbortController();
    const listening = listenToControl(
      this.plan.control,
      ({ kind, text }) => this.#tell(`${kind}: ${text}`),
      stop.signal,
    );
    this.#closing.add('events', listening, async () => {
      stop.abort();
      await listening;
    });
  }

  /** One writer at a time; a reader sees the old file or the new one. */
  #writeEndpoints(): Promise<void> {
    this.#writing = this.#writing.then(async () => {
      if (!this.#complete) return;
      const { endpoints } = this.plan.files;
      await writeFile(`${endpoints}.new`, `${JSON.stringify(this.#endpoints(), undefined, 2)}\n`);
      await rename(`${endpoints}.new`, endpoints);
    });
    return this.#writing;
  }

  #endpoints(): Endpoints {
    const { plan } = this;
    const pids: Record<string, number> = { box: process.pid };
    for (const one of this.#processes) pids[one.plan.name] = one.pid ?? 0;
    const appliance = (one: BoxPlan['s3']) => ({ id: one.name, url: one.url, admin: one.admin!, pid: pids[one.name]! });
    return {
      steering: plan.steering,
      control: plan.control,
      origin: plan.origin.url,
      originAdmin: plan.origin.admin!,
      s3: plan.s3.url,
      standby: plan.standby.url,
      region: appliance(plan.region),
      edges: plan.edges.map((edge) => ({ ...appliance(edge), site: edge.site! })),
      pids,
    };
  }
}
