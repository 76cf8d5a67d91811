/**
 * The S3 server of the box: one bucket over HTTP, with signatures checked, bodies streamed from and to files. It speaks
 * what the origin gateway and the uploader need (GET, HEAD, PUT, DELETE of an object, ListObjectsV2, HeadBucket,
 * ranges, conditionals, checksums, XML errors) and refuses the rest as S3 does. fauxqs, tried first, reads the whole
 * object into memory for each GET, refuses bodies above 11 MiB and listens on every address.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { listenFault } from '../../runtime/errors.ts';
import { addressText, type ListenAddress } from '../../runtime/options.ts';
import { Bucket, type ObjectRecord } from './bucket.ts';
import { byteRange, preconditionAnswer } from './conditions.ts';
import { type Credentials, signatureVerdict } from './signature.ts';
import { ERRORS, errorXml, listXml, type S3ErrorCode } from './xml.ts';

export interface S3ServerOptions {
  readonly folder: string;
  readonly bucket: string;
  readonly credentials: Credentials;
}

const KEPT_FIELDS = ['cache-control', 'content-encoding', 'content-disposition', 'content-language', 'expires'];
const EMPTY_SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

export class S3Server {
  readonly #options: S3ServerOptions;
  readonly #bucket: Bucket;
  readonly #server: Server;

  constructor(options: S3ServerOptions) {
    this.#options = options;
    this.#bucket = new Bucket(options.folder);
    this.#server = createServer({ keepAliveTimeout: 65_000, requestTimeout: 0 }, (request, response) => {
      this.#answer(request, response).catch((error: unknown) => {
        if (response.headersSent) response.destroy();
        else this.#refuse(request, response, 'InternalError');
        if (!isGone(error)) process.stderr.write(`s3: ${String(error)}\n`);
      });
    });
  }

  /** Opens the folder and listens; answers the port. */
  async start(address: ListenAddress): Promise<number> {
    await this.#bucket.open();
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error) => reject(listenFault(error, addressText(address), 'listen')));
      this.#server.listen(address.port, address.host, resolve);
    });
    return (this.#server.address() as { port: number }).port;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const method = request.method ?? 'GET';
    const target = request.url ?? '/';
    const verdict = signatureVerdict(
      { method, target, fields: request.headers },
      this.#options.credentials,
      Date.now(),
    );
    if (!verdict.ok) return this.#refuse(request, response, verdict.reason);
    const question = target.indexOf('?');
    const query = new URLSearchParams(question < 0 ? '' : target.slice(question + 1));
    const path = (question < 0 ? target : target.slice(0, question)).slice(1);
    const slash = path.indexOf('/');
    const bucket = slash < 0 ? path : path.slice(0, slash);
    const key = slash < 0 ? '' : decoded(path.slice(slash + 1));
    if (key === undefined) return this.#refuse(request, response, 'InvalidURI');
    if (bucket === '') return this.#refuse(request, response, 'NotImplemented');
    if (bucket !== this.#options.bucket) return this.#refuse(request, response, 'NoSuchBucket');
    if (key === '') return this.#bucketRequest(request, response, query);
    if ([...query.keys()].some((name) => name !== 'x-id')) return this.#refuse(request, response, 'NotImplemented');
    switch (method) {
      case 'GET':
      case 'HEAD':
        return this.#get(request, response, key);
      case 'PUT':
        return this.#put(request, response, key, verdict.payloadHash);
      case 'DELETE':
        await this.#bucket.delete(key);
        response.writeHead(204).end();
        return;
      default:
        return this.#refuse(request, response, 'MethodNotAllowed');
    }
  }

  #bucketRequest(request: IncomingMessage, response: ServerResponse, query: URLSearchParams): void {
    if (request.method === 'HEAD') return void response.writeHead(200).end();
    if (request.method !== 'GET' || query.get('list-type') !== '2' || query.has('delimiter'))
      return this.#refuse(request, response, 'NotImplemented');
    const most = Math.min(1000, Number(query.get('max-keys') ?? 1000));
    if (!Number.isInteger(most) || most < 0) return this.#refuse(request, response, 'InvalidArgument');
    const token = query.get('continuation-token');
    const after = token === null ? (query.get('start-after') ?? '') : Buffer.from(token, 'base64url').toString();
    const { records, more } = this.#bucket.list(query.get('prefix') ?? '', after, most);
    const xml = listXml({
      bucket: this.#options.bucket,
      prefix: query.get('prefix') ?? '',
      most,
      records,
      encode: query.get('encoding-type') === 'url',
      next: more ? Buffer.from(records.at(-1)?.key ?? after).toString('base64url') : undefined,
    });
    response.writeHead(200, { 'content-type': 'application/xml', 'content-length': Buffer.byteLength(xml) }).end(xml);
  }

  async #get(request: IncomingMessage, response: ServerResponse, key: string): Promise<void> {
    const record = this.#bucket.get(key);
    if (record === undefined) return this.#refuse(request, response, 'NoSuchKey');
    const precondition = preconditionAnswer(request.headers, record);
    if (precondition === 'PreconditionFailed') return this.#refuse(request, response, 'PreconditionFailed');
    const fields = objectFields(record);
    if (precondition === 'NotModified') return void response.writeHead(304, fields).end();
    const range =
      request.method === 'GET' ? byteRange(request.headers.range, record.bytes) : { kind: 'whole' as const };
    if (range.kind === 'unsatisfiable') {
      response.setHeader('content-range', `bytes */${record.bytes}`);
      return this.#refuse(request, response, 'InvalidRange');
    }
    const [first, last] = range.kind === 'part' ? [range.first, range.last] : [0, record.bytes - 1];
    if (range.kind === 'part') fields['content-range'] = `bytes ${first}-${last}/${record.bytes}`;
    else if (request.headers['x-amz-checksum-mode'] === 'ENABLED') {
      fields['x-amz-checksum-sha256'] = Buffer.from(record.sha256, 'hex').toString('base64');
      fields['x-amz-checksum-type'] = 'FULL_OBJECT';
    }
    const bytes = last - first + 1;
    const status = range.kind === 'part' ? 206 : 200;
    const head = () => response.writeHead(status, { ...fields, 'content-length': bytes });
    if (request.method === 'HEAD' || bytes === 0) return void head().end();
    const file = await this.#bucket.body(record);
    head();
    await pipeline(file.createReadStream({ start: first, end: last, highWaterMark: 256 * 1024 }), response);
  }

  async #put(request: IncomingMessage, response: ServerResponse, key: string, payloadHash: string): Promise<void> {
    const bytes = Number(request.headers['content-length'] ?? Number.NaN);
    if (!Number.isSafeInteger(bytes)) return this.#refuse(request, response, 'MissingContentLength');
    if (payloadHash.startsWith('STREAMING-') || request.headers['x-amz-copy-source'] !== undefined)
      return this.#refuse(request, response, 'NotImplemented');
    if (Buffer.byteLength(key) > 1024) return this.#refuse(request, response, 'KeyTooLongError');
    const checksum = request.headers['x-amz-checksum-sha256'];
    const fromChecksum = typeof checksum === 'string' ? Buffer.from(checksum, 'base64').toString('hex') : undefined;
    const fromPayload = payloadHash === 'UNSIGNED-PAYLOAD' ? undefined : payloadHash;
    if (fromChecksum !== undefined && fromPayload !== undefined && fromChecksum !== fromPayload)
      return this.#refuse(request, response, 'BadDigest');
    const outcome = await this.#bucket.put(
      {
        key,
        bytes,
        contentType: request.headers['content-type'] ?? 'binary/octet-stream',
        fields: keptFields(request),
        expectedSha256: fromChecksum ?? fromPayload ?? (bytes === 0 ? EMPTY_SHA256 : undefined),
      },
      request,
      Date.now(),
    );
    if (!outcome.ok) return this.#refuse(request, response, outcome.reason);
    response.writeHead(200, { etag: outcome.record.etag, 'content-length': 0 }).end();
  }

  #refuse(request: IncomingMessage, response: ServerResponse, code: S3ErrorCode): void {
    const body = request.method === 'HEAD' ? '' : errorXml(code);
    if (!request.complete) response.setHeader('connection', 'close');
    response.writeHead(ERRORS[code].status, {
      'content-type': 'application/xml',
      'content-length': Buffer.byteLength(body),
    });
    response.end(body);
  }
}

function objectFields(record: ObjectRecord): Record<string, string> {
  return {
    'content-type': record.contentType,
    etag: record.etag,
    'last-modified': new Date(record.lastModifiedMillis).toUTCString(),
    'accept-ranges': 'bytes',
    ...record.fields,
  };
}

function keptFields(request: IncomingMessage): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers))
    if (typeof value === 'string' && (KEPT_FIELDS.includes(name) || name.startsWith('x-amz-meta-'))) kept[name] = value;
  return kept;
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined; // Not UTF-8 under percent-encoding: S3 has no such key, the caller says InvalidURI.
  }
}

/** The client left: nothing to report. */
function isGone(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === 'ERR_STREAM_PREMATURE_CLOSE' || code === 'ECONNRESET' || code === 'EPIPE';
}
