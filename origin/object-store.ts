/**
 * S3 through the AWS SDK: the one place that holds credentials and knows the SDK. Every call has a deadline for its
 * head; sockets are bounded. Errors are the SDK's own and go through `s3-failure.ts`.
 */
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { Readable } from 'node:stream';
import {
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  ListObjectsV2Command,
  S3Client,
} from '@aws-sdk/client-s3';
import type { S3Conditions } from './conditions.ts';

export interface ObjectStoreOptions {
  /** Undefined for Amazon's own. */
  readonly endpoint: string | undefined;
  readonly bucket: string;
  readonly region: string;
  /** Undefined leaves the search (environment, instance role) to the SDK. */
  readonly credentials: { accessKeyId: string; secretAccessKey: string; sessionToken?: string } | undefined;
  readonly pathStyle: boolean;
  readonly connections: number;
  readonly connectTimeoutMillis: number;
  readonly headTimeoutMillis: number;
}

/** What S3 says of an object beside its body. */
export interface ObjectHead {
  /** Of this answer's body: the whole object, or the range of `contentRange`. */
  readonly bytes: number;
  readonly contentRange: string | undefined;
  readonly etag: string;
  readonly lastModifiedMillis: number;
  readonly contentType: string | undefined;
  readonly cacheControl: string | undefined;
  readonly contentEncoding: string | undefined;
  readonly contentDisposition: string | undefined;
  readonly contentLanguage: string | undefined;
  /** Hex, of the whole object, where the object carries it. */
  readonly sha256: string | undefined;
}

export interface ListedObject {
  readonly key: string;
  readonly bytes: number;
  readonly etag: string;
  readonly lastModifiedMillis: number;
}

export interface ListedPage {
  readonly objects: readonly ListedObject[];
  /** Token of the next page; undefined after the last. */
  readonly next: string | undefined;
}

export class ObjectStore {
  readonly #client: S3Client;
  readonly #options: ObjectStoreOptions;

  constructor(options: ObjectStoreOptions) {
    this.#options = options;
    const sockets = { keepAlive: true, maxSockets: options.connections, maxFreeSockets: options.connections };
    this.#client = new S3Client({
      region: options.region,
      forcePathStyle: options.pathStyle,
      // Some S3 services refuse the trailers that the SDK sends, and expects, by default.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      maxAttempts: 2,
      requestHandler: {
        connectionTimeout: options.connectTimeoutMillis,
        httpAgent: new HttpAgent(sockets),
        httpsAgent: new HttpsAgent(sockets),
      },
      ...(options.endpoint === undefined ? {} : { endpoint: options.endpoint }),
      ...(options.credentials === undefined ? {} : { credentials: options.credentials }),
    });
  }

  /** The head of an object. HEAD answers carry no error code: a missing bucket looks like a missing key. */
  async head(key: string, conditions: S3Conditions, signal: AbortSignal): Promise<ObjectHead> {
    const { range: _, ...preconditions } = conditions;
    const output = await this.#within(signal, (abortSignal) =>
      this.#client.send(
        new HeadObjectCommand({ ...this.#address(key), ...upperCase(preconditions), ChecksumMode: 'ENABLED' }),
        { abortSignal },
      ),
    );
    return objectHead(output);
  }

  /** An object or a range of it; the caller consumes or destroys the body. */
  async get(key: string, conditions: S3Conditions, signal: AbortSignal): Promise<{ head: ObjectHead; body: Readable }> {
    const output = await this.#within(signal, (abortSignal) =>
      this.#client.send(new GetObjectCommand({ ...this.#address(key), ...upperCase(conditions) }), { abortSignal }),
    );
    return { head: objectHead(output), body: output.Body as Readable };
  }

  /** One page of the bucket, in key order. */
  async list(token: string | undefined, signal: AbortSignal, most = 1000): Promise<ListedPage> {
    const output = await this.#within(signal, (abortSignal) =>
      this.#client.send(
        // Keys may hold what XML can't: S3 percent-encodes them on demand.
        new ListObjectsV2Command({
          Bucket: this.#options.bucket,
          ContinuationToken: token,
          MaxKeys: most,
          EncodingType: 'url',
        }),
        { abortSignal },
      ),
    );
    const encoded = output.EncodingType === 'url';
    const objects = (output.Contents ?? []).map((object) => ({
      key: encoded ? decodeURIComponent((object.Key ?? '').replaceAll('+', ' ')) : (object.Key ?? ''),
      bytes: object.Size ?? 0,
      etag: object.ETag ?? '',
      lastModifiedMillis: object.LastModified?.getTime() ?? 0,
    }));
    return { objects, next: output.IsTruncated === true ? output.NextContinuationToken : undefined };
  }

  /** Throws when the bucket can't be listed. A GET, since the answer to HEAD has no error code. */
  async check(signal: AbortSignal): Promise<void> {
    await this.list(undefined, signal, 1);
  }

  close(): void {
    this.#client.destroy();
  }

  #address(key: string) {
    return { Bucket: this.#options.bucket, Key: key };
  }

  async #within<T>(signal: AbortSignal, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(), this.#options.headTimeoutMillis);
    try {
      return await call(AbortSignal.any([signal, deadline.signal]));
    } finally {
      clearTimeout(timer);
    }
  }
}

function upperCase(conditions: S3Conditions) {
  return {
    IfMatch: conditions.ifMatch,
    IfNoneMatch: conditions.ifNoneMatch,
    IfModifiedSince: conditions.ifModifiedSince,
    IfUnmodifiedSince: conditions.ifUnmodifiedSince,
    Range: conditions.range,
  };
}

function objectHead(output: GetObjectCommandOutput | HeadObjectCommandOutput): ObjectHead {
  return {
    bytes: output.ContentLength ?? 0,
    contentRange: output.ContentRange,
    etag: output.ETag ?? '',
    lastModifiedMillis: output.LastModified?.getTime() ?? 0,
    contentType: output.ContentType,
    cacheControl: output.CacheControl,
    contentEncoding: output.ContentEncoding,
    contentDisposition: output.ContentDisposition,
    contentLanguage: output.ContentLanguage,
    sha256: wholeSha256(output),
  };
}

/** The checksum of the whole object (one of parts ends in `-N`), or the hex that an uploader left as metadata. */
function wholeSha256(output: GetObjectCommandOutput | HeadObjectCommandOutput): string | undefined {
  if (output.ContentRange === undefined && output.ChecksumSHA256 !== undefined && output.ChecksumType !== 'COMPOSITE') {
    const bytes = Buffer.from(output.ChecksumSHA256, 'base64');
    if (bytes.length === 32 && !output.ChecksumSHA256.includes('-')) return bytes.toString('hex');
  }
  const metadata = output.Metadata?.sha256?.toLowerCase();
  return metadata !== undefined && /^[0-9a-f]{64}$/.test(metadata) ? metadata : undefined;
}
