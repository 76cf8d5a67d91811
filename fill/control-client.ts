/**
 * What `nearcast fill` asks the control plane, each answer checked before it is believed, each failure a fault that
 * says what to do. Where the control plane is: `--control`, `NEARCAST_CONTROL`, the box's `endpoints.json`, else the
 * box's usual port.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FillProgress } from '../control-plane/api.ts';
import { EXIT, Fault } from '../runtime/errors.ts';

export interface RunAccepted {
  readonly version: number;
  /** Ids of the appliances that have a new manifest. */
  readonly appliances: readonly string[];
}

export interface ApplianceFill {
  readonly id: string;
  readonly site: string;
  readonly fill: FillProgress;
}

export interface ControlAddress {
  readonly url: string;
  /** Where it was found, for messages. */
  readonly from: string;
  /** Bearer token that writes need where the control plane has one. */
  readonly token: string | undefined;
}

const DEFAULT_CONTROL = 'http://127.0.0.1:18001';
const ENDPOINTS = join('.nearcast', 'box', 'endpoints.json');
/** A plan over a large catalogue takes a while; nothing else does. */
const ANSWER_MILLIS = 60_000;

/** `--control`, then the environment, then the box that was started here, then the default. */
export async function findControl(
  given: string | undefined,
  env: NodeJS.ProcessEnv,
  cwd: string,
): Promise<Omit<ControlAddress, 'token'>> {
  if (given !== undefined) return { url: given, from: '--control' };
  if (env.NEARCAST_CONTROL !== undefined) {
    const url = URL.parse(env.NEARCAST_CONTROL);
    if (url === null || !/^https?:$/.test(url.protocol))
      throw new Fault('option-value', `NEARCAST_CONTROL: '${env.NEARCAST_CONTROL}' is not an http or https URL`, {
        source: 'operator',
        fix: `set it to something like ${DEFAULT_CONTROL}`,
        exit: EXIT.usage,
      });
    return { url: env.NEARCAST_CONTROL.replace(/\/+$/, ''), from: 'NEARCAST_CONTROL' };
  }
  const box = await boxControl(join(cwd, ENDPOINTS));
  return box === undefined ? { url: DEFAULT_CONTROL, from: 'the default' } : { url: box, from: ENDPOINTS };
}

export class ControlClient {
  readonly #url: string;
  readonly #from: string;
  readonly #token: string | undefined;

  constructor({ url, from, token }: ControlAddress) {
    this.#url = url;
    this.#from = from;
    this.#token = token;
  }

  get url(): string {
    return this.#url;
  }

  /** `POST /v1/fill/run`: plans and hands out manifests. */
  async run(wish: { readonly now: boolean; readonly site: string | undefined }): Promise<RunAccepted> {
    const answer = await this.#ask('POST', '/v1/fill/run', JSON.stringify(wish));
    const { version, manifests } = answer as { version?: unknown; manifests?: unknown };
    if (typeof version !== 'number' || !Array.isArray(manifests) || !manifests.every(isManifestOf))
      throw this.#stranger('its answer to POST /v1/fill/run has no version and manifests');
    return { version, appliances: manifests.map(({ appliance }) => appliance) };
  }

  /** `GET /v1/fill/status`. */
  async status(): Promise<ApplianceFill[]> {
    const answer = await this.#ask('GET', '/v1/fill/status', undefined);
    const { appliances } = answer as { appliances?: unknown };
    if (!Array.isArray(appliances) || !appliances.every(isApplianceStatus))
      throw this.#stranger('its answer to GET /v1/fill/status has no appliances with their progress');
    return appliances.map(({ id, site, progress }) => ({ id, site, fill: progress }));
  }

  async #ask(method: string, path: string, body: string | undefined): Promise<unknown> {
    let response: Response;
    let text: string;
    const headers: Record<string, string> = { accept: 'application/json' };
    if (body !== undefined) headers['content-type'] = 'application/json';
    if (this.#token !== undefined) headers.authorization = `Bearer ${this.#token}`;
    try {
      response = await fetch(this.#url + path, {
        method,
        headers,
        ...(body === undefined ? {} : { body }),
        signal: AbortSignal.timeout(ANSWER_MILLIS),
        redirect: 'error',
      });
      text = await response.text();
    } catch (error) {
      throw this.#away(error);
    }
    const answer = parsed(text);
    if (!response.ok) throw this.#refused(response.status, `${method} ${path}`, answer);
    if (answer === undefined) throw this.#stranger(`its answer to ${method} ${path} is not JSON`);
    return answer;
  }

  #away(error: unknown): Fault {
    const cause = (error as Error).cause as NodeJS.ErrnoException | undefined;
    const why = cause?.code ?? cause?.message ?? (error as Error).message;
    return new Fault('control-away', `the control plane at ${this.#url} (from ${this.#from}) does not answer: ${why}`, {
      source: 'operator',
      retry: true,
      fix: 'start it (`npm start` for the box), or give --control URL',
      exit: EXIT.tryAgain,
      cause: error,
    });
  }

  #refused(status: number, what: string, answer: unknown): Fault {
    const { title, detail, fix } = (answer ?? {}) as Record<string, unknown>;
    if (typeof title !== 'string') return this.#stranger(`it answers ${status} to ${what}`, status >= 500);
    const exits: Record<number, number> = { 400: EXIT.usage, 404: EXIT.notFound, 409: EXIT.conflict };
    return new Fault(title, typeof detail === 'string' ? detail : `the control plane answers ${status}`, {
      source: 'operator',
      retry: status >= 500,
      ...(typeof fix === 'string' ? { fix } : {}),
      exit: status >= 500 ? EXIT.tryAgain : (exits[status] ?? EXIT.failed),
    });
  }

  #stranger(why: string, retry = false): Fault {
    return new Fault('not-a-control-plane', `${this.#url} (from ${this.#from}): ${why}`, {
      source: 'operator',
      retry,
      fix: 'give --control the URL that `control` has in endpoints.json',
      exit: retry ? EXIT.tryAgain : EXIT.failed,
    });
  }
}

async function boxControl(file: string): Promise<string | undefined> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch {
    return undefined; // no box was started here: the default holds, and a failure then names it
  }
  const control = (parsed(text) as { control?: unknown } | undefined)?.control;
  return typeof control === 'string' ? control.replace(/\/+$/, '') : undefined;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) ?? undefined;
  } catch {
    return undefined; // the caller says what was not JSON
  }
}

function isManifestOf(one: { appliance?: unknown } | null): one is { appliance: string } {
  return typeof one?.appliance === 'string';
}

function isApplianceStatus(
  one: { id?: unknown; site?: unknown; progress?: Partial<FillProgress> } | null,
): one is { id: string; site: string; progress: FillProgress } {
  return typeof one?.id === 'string' && typeof one.site === 'string' && typeof one.progress?.state === 'string';
}
