/**
 * The run: random and mutated requests against a real edge process until so many were sent, then what must be true of
 * it. Everything follows from the seed, except how the system splits and orders what is concurrent.
 */
import { readdir } from 'node:fs/promises';
import { cacheKey } from '../../edge-server/cache/key.ts';
import { cachePolicy, keyRule } from '../../edge-server/cache/policy.ts';
import { certificateFolder } from '../../edge-server/http/test-certificate.ts';
import { Edge } from '../edge/edge.ts';
import { converse, type Via } from './conversation.ts';
import { HostileOrigin } from './hostile-origin.ts';
import { frameComplaint, hostileFrames } from './http2-frames.ts';
import { judge } from './judge.ts';
import { Random } from './random.ts';
import { readRequests } from './request-reading.ts';
import { garbage, HOT, hostileRequest, type Made, mutated, validRequest } from './requests.ts';

export interface FuzzOptions {
  readonly seed: number;
  /** How many are sent, HTTP/2 ones included. */
  readonly requests: number;
  /** Only this one of the run's connections. */
  readonly only?: number | undefined;
  /** Told now and then how far it is. */
  readonly progress?: (line: string) => void;
}

export interface FuzzResult {
  readonly sent: number;
  readonly answered: number;
  readonly connections: number;
  readonly originRequests: number;
  readonly hostileAnswers: number;
  /** Answers by class: `2xx`, … */
  readonly classes: Readonly<Record<string, number>>;
  readonly seconds: number;
  /** Everything that must not be: empty when all is well. */
  readonly complaints: readonly string[];
  readonly residentMiB: { readonly warm: number; readonly end: number };
  /** Of the workers, without those to the origin. */
  readonly descriptors: { readonly before: number; readonly end: number };
}

const AT_ONCE = 128;
const DEADLINE_MILLIS = 30_000;
const MiB = 1 << 20;
/** Share of the run after which memory is taken as warm. */
const WARM = 0.3;
/** From there on: what a heap that is collected now and then may vary by. */
const MOST_GROWTH_BYTES = 96 * MiB;

export async function fuzz(options: FuzzOptions): Promise<FuzzResult> {
  const certificates = certificateFolder();
  const files = certificates.make('fuzz', ['fuzz.example.org']);
  const run = new Run(options);
  const upstream = await run.origin.start();
  const edge = await Edge.start({
    upstreams: [upstream],
    disk: false,
    more: [
      ...[
        '--memory',
        '48MiB',
        '--connections',
        '0',
        '--upstream-head-timeout',
        '1s',
        '--upstream-body-timeout',
        '300ms',
      ],
      ...['--listen-tls', '127.0.0.1:0', '--tls-cert', files.certificate, '--tls-key', files.key],
    ],
  });
  try {
    return await run.against(edge);
  } finally {
    await edge.stop();
    await run.origin.stop();
    certificates.remove();
  }
}

class Run {
  readonly #options: FuzzOptions;
  readonly #allowed = new Set<string>();
  readonly #rule = keyRule(cachePolicy('safe'));
  readonly origin: HostileOrigin;
  readonly #complaints: string[] = [];
  readonly #classes: Record<string, number> = {};
  #sent = 0;
  #answered = 0;
  #connections = 0;

  constructor(options: FuzzOptions) {
    this.#options = options;
    this.origin = new HostileOrigin((method, target) => this.#wasAsked(method, target));
    for (let n = 0; n < HOT; n++) this.#allowed.add(`GET /t/${n}`).add(`HEAD /t/${n}`);
  }

  async against(edge: Edge): Promise<FuzzResult> {
    const started = performance.now();
    const workers = await edge.workers();
    const before = await descriptors(workers);
    let warm = 0;
    let told = 0;
    const { requests, only, progress } = this.#options;
    const worker = async () => {
      while (this.#sent < requests && this.#complaints.length < 10) {
        if (only !== undefined && this.#connections > 0) return;
        await this.#conversation(edge, only ?? this.#connections++);
        if (warm === 0 && this.#sent > requests * WARM) warm = await edge.residentBytes();
        if (this.#sent - told >= 100_000) {
          told = this.#sent;
          progress?.(
            `${this.#sent} sent, ${this.#answered} answered, ${Math.round((await edge.residentBytes()) / MiB)} MiB`,
          );
        }
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    const seconds = (performance.now() - started) / 1000;
    this.#complaints.push(...this.origin.complaints);
    // Lingering closes take two seconds at most; what is still open then is a leak.
    const deadline = performance.now() + 6_000;
    const open = async () => (await descriptors(workers)) - this.origin.connections;
    let end = await open();
    while (end > before + 8 && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      end = await open();
    }
    if ((this.#classes['5xx'] ?? 0) > this.#answered * 0.02 + 20)
      this.#complaints.push(`${this.#classes['5xx']} of ${this.#answered} answers are errors`);
    const resident = await edge.residentBytes();
    if (resident > warm + MOST_GROWTH_BYTES && only === undefined)
      this.#complaints.push(`memory grew from ${Math.round(warm / MiB)} to ${Math.round(resident / MiB)} MiB`);
    if (end > before + 8) this.#complaints.push(`${end} descriptors are open, ${before} were`);
    const now = await edge.workers();
    if (edge.ended || String(now) !== String(workers))
      this.#complaints.push(`a worker ended: ${workers} became ${now}: ${edge.output().slice(-2000)}`);
    for (const fault of ['request handler threw', 'handler threw', 'sink misused', 'uncaught'])
      if (edge.output().includes(fault))
        this.#complaints.push(`the edge logged '${fault}': ${lineWith(edge.output(), fault)}`);
    return {
      sent: this.#sent,
      answered: this.#answered,
      connections: this.#connections,
      originRequests: this.origin.requests,
      hostileAnswers: this.origin.hostile,
      classes: this.#classes,
      seconds,
      complaints: this.#complaints,
      residentMiB: { warm: Math.round(warm / MiB), end: Math.round(resident / MiB) },
      descriptors: { before, end },
    };
  }

  /** The n-th connection; what it sends follows from the seed and its number alone. */
  async #conversation(edge: Edge, n: number): Promise<void> {
    this.#connections = Math.max(this.#connections, 1);
    const random = new Random(Math.imul(this.#options.seed + 1, 0x9e3779b1) ^ n);
    const kind = random.below(1000);
    if (kind < 12) return this.#http2(edge, random, n);
    const via: Via =
      kind < 40 ? { port: edge.tlsPort, protocol: 'http/1.1' } : { port: edge.port, protocol: undefined };
    let targets = 0;
    const unique = () => n * 1000 + ++targets;
    let made: Made[];
    let pieces: readonly string[] | undefined;
    const swept = SPLITS[n];
    if (swept !== undefined) {
      made = [{ text: swept[0], pristine: true }];
      pieces = swept[1];
    } else if (kind < 260) made = Array.from({ length: random.between(1, 4) }, () => mutated(random, unique));
    else if (kind < 290) made = [garbage(random)];
    else if (kind < 310) {
      made = [
        validRequest(random, unique),
        random.chance(0.5) ? mutated(random, unique) : validRequest(random, unique),
      ];
      pieces = made.flatMap(({ text }) => (text.length > 2000 ? [text] : [...text]));
    } else if (kind < 400)
      made = Array.from({ length: random.between(1, 5) }, () =>
        random.chance(0.7) ? hostileRequest(random, unique) : validRequest(random, unique),
      ); // prettier-ignore
    else {
      made = Array.from({ length: random.between(60, 160) }, () => validRequest(random, unique));
      if (random.chance(0.5)) made.push(...Array.from({ length: 3 }, () => mutated(random, unique)));
      if (random.chance(0.1)) made.splice(random.below(made.length), 0, mutated(random, unique));
      if (random.chance(0.1)) made.push(garbage(random));
    }
    await this.#exchange(via, made, pieces, { random, n });
  }

  async #exchange(
    via: Via,
    made: readonly Made[],
    given: readonly string[] | undefined,
    { random, n }: { random: Random; n: number },
  ): Promise<void> {
    const text = made.map((one) => one.text).join('');
    const read = readRequests(text);
    for (const request of read.requests) this.#allow(request);
    if (read.begun !== undefined) this.#allow(read.begun);
    this.#sent += made.length;
    let pieces = given;
    if (pieces === undefined && random.chance(0.3)) {
      const at = random.below(text.length);
      pieces = [text.slice(0, at), text.slice(at)];
    }
    const bytes = (pieces ?? [text]).filter((piece) => piece !== '').map((piece) => Buffer.from(piece, 'latin1'));
    const { received, ending } = await converse(via, bytes, DEADLINE_MILLIS);
    const sound = made.findIndex((one) => !one.pristine);
    const pristine = made.map((_, k) => sound < 0 || k < sound);
    const { complaint, answers } = judge(text, read, received.toString('latin1'), pristine);
    this.#answered += answers.length;
    for (const { status } of answers) {
      const name = `${Math.floor(status / 100)}xx`;
      this.#classes[name] = (this.#classes[name] ?? 0) + 1;
    }
    if (complaint !== undefined)
      this.#complain(complaint, `connection ${n}, ${ending}, ${via.protocol ?? 'plain'}`, text);
    else if (ending === 'deadline')
      this.#complain('the connection did not end', `connection ${n}, ${via.protocol ?? 'plain'}`, text);
  }

  async #http2(edge: Edge, random: Random, n: number): Promise<void> {
    const requests = random.between(1, 60);
    this.#sent += requests;
    const frames = hostileFrames(random, requests);
    // What its frames ask for can't be read off a broken stream of them: only what is sound is asked of the origin.
    const at = random.below(frames.length);
    const pieces = random.chance(0.5) ? [frames] : [frames.subarray(0, at), frames.subarray(at)];
    const { received, ending } = await converse({ port: edge.tlsPort, protocol: 'h2' }, pieces, DEADLINE_MILLIS);
    const complaint = frameComplaint(received);
    if (complaint !== undefined) this.#complain(complaint, `connection ${n}, h2`, frames.toString('latin1'));
    else if (ending === 'deadline')
      this.#complain('the connection did not end', `connection ${n}, h2`, frames.toString('latin1'));
  }

  #allow({ method, target, host }: { method: string; target: string; host: string }): void {
    const canonical = this.#canonical(target, host);
    if (canonical !== undefined) this.#allowed.add(`${method} ${canonical}`);
  }

  #canonical(target: string, host: string): string | undefined {
    const path = target.replace(/^https?:\/\/[^/?]*/i, '');
    const key = cacheKey(
      { scheme: 'http', authority: host, target: path.startsWith('/') ? path : `/${path}` },
      this.#rule,
    );
    if (!key.ok) return undefined;
    return key.query === undefined ? key.path : `${key.path}?${key.query}`;
  }

  #wasAsked(method: string, target: string): boolean {
    return this.#allowed.has(`${method} ${target}`) || (method === 'GET' && this.#allowed.has(`HEAD ${target}`));
  }

  #complain(what: string, where: string, sent: string): void {
    const shown = sent.length > 3000 && this.#options.only === undefined ? `…${sent.slice(-3000)}` : sent;
    this.#complaints.push(`${what} [${where}]\n    sent: ${JSON.stringify(shown)}`);
  }
}

/** A few sound requests, each split in two at every byte. */
function* splits(): Generator<readonly [text: string, pieces: readonly string[]]> {
  const host = 'Host: fuzz.example.org';
  for (const request of [
    `GET /t/1 HTTP/1.1\r\n${host}\r\n\r\n`,
    `GET /t/2 HTTP/1.1\r\n${host}\r\n\r\nHEAD /t/3 HTTP/1.1\r\n${host}\r\nAccept-Encoding: gzip, br\r\n\r\nGET /t/4 HTTP/1.1\r\n${host}\r\n\r\n`,
    `GET /t/5 HTTP/1.1\r\n${host}\r\nRange: bytes=0-5\r\nIf-None-Match: "a,b", "v"\r\nCookie: a=b\r\n\r\n`,
    `POST /u/0 HTTP/1.1\r\n${host}\r\nContent-Length: 5\r\n\r\nabcdeGET /t/6 HTTP/1.1\r\n${host}\r\n\r\n`,
    `POST /u/0 HTTP/1.1\r\n${host}\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nabcde\r\n0\r\nX: y\r\n\r\nGET /t/6 HTTP/1.1\r\n${host}\r\n\r\n`,
    `GET /t/7 HTTP/1.0\r\n${host}\r\nConnection: keep-alive\r\n\r\nGET /t/7 HTTP/1.1\r\n${host}\r\n\r\n`,
  ])
    for (let at = 1; at < request.length; at++) yield [request, [request.slice(0, at), request.slice(at)]];
}

/** The run's first connections. */
const SPLITS = [...splits()];

/** Open descriptors of these processes. */
async function descriptors(pids: readonly number[]): Promise<number> {
  let open = 0;
  for (const pid of pids) open += (await readdir(`/proc/${pid}/fd`).catch(() => [])).length;
  return open;
}

function lineWith(text: string, word: string): string {
  return text.split('\n').find((line) => line.includes(word)) ?? '';
}
