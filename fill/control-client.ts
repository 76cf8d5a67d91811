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

export interface FillStatus {
  readonly version: number;
  readonly appliances: readonly ApplianceFill[];
}

const DEFAULT_CONTROL = 'http://127.0.0.1:18001';
const ENDPOINTS = join('.nearcast', 'box', 'endpoints.json');
/** A plan over a large catalogue takes a while; nothing else does. */
const ANSWER_MILLIS = 60_000;

/** The base URL, and where it was found, for messages. */
export async function findControl(
  given: string | undefined,
  env: NodeJS.ProcessEnv,
  cwd: string,
): Promise<{ url: string; from: string }> {
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

  constructor({ url, from }: { readonly url: string; readonly from: string }) {
    this.#url = url;
    this.#from = from;
  }

  get url(): string {
    return this.#url;
  }

  /** `POST /v1/fill/run`: plans and hands out manifests. */
  async run(wish: { readonly now: boolean; readonly site: string | undefined }): Promise<RunAccepted> {
    const answer = await this.#ask('POST', '/v1/fill/run', JSON.stringify(wish));
    const { version, appliances } = answer as Partial<RunAccepted>;
    if (typeof version !== 'number' || !Array.isArray(appliances) || !appliances.every((id) => typeof id === 'string'))
      throw this.#stranger('its answer to POST /v1/fill/run has no version and appliances');
    return { version, appliances };
  }

  /** `GET /v1/fill/status`. */
  async status(): Promise<FillStatus> {
    const answer = await this.#ask('GET', '/v1/fill/status', undefined);
    const { version, appliances } = answer as Partial<FillStatus>;
    if (typeof version !== 'number' || !Array.isArray(appliances) || !appliances.every(isApplianceFill))
      throw this.#stranger('its answer to GET /v1/fill/status has no version and appliances');
    return { version, appliances };
  }

  async #ask(method: string, path: string, body: string | undefined): Promise<unknown> {
    let response: Response;
    let text: string;
    try {
      response = await fetch(this.#url + path, {
        method,
        ...(body === undefined ? {} : { body, headers: { 'content-type': 'application/json' } }),
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
    const { title, detail } = (answer ?? {}) as { title?: unknown; detail?: unknown };
    if (typeof title !== 'string' && typeof detail !== 'string')
      return this.#stranger(`it answers ${status} to ${what}`, status >= 500);
    const exits: Record<number, number> = { 400: EXIT.usage, 404: EXIT.notFound, 409: EXIT.conflict };
    return new Fault('control-refused', [title, detail].filter((one) => typeof one === 'string').join(': '), {
      source: 'operator',
      retry: status >= 500,
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

function isApplianceFill(one: Partial<ApplianceFill> | null): one is ApplianceFill {
  return typeof one?.id === 'string' && typeof one.site === 'string' && typeof one.fill?.state === 'string';
}
