/**
 * The catalogue: what exists in the bucket, each with its SHA-256. The bucket is listed again and again; only what is
 * new or changed is looked at: first its checksum or metadata at S3, else its body is read once. Pages are published
 * as they come; what is gone is removed only after a listing that reached its end.
 */
import { createHash } from 'node:crypto';
import type { CatalogueAsset } from '../control-plane/api.ts';
import type { Tally } from '../runtime/metrics.ts';
import type { CatalogueStore, KnownObject } from './catalogue-store.ts';
import type { ORIGIN_COUNTERS } from './counters.ts';
import { contentType } from './media-kind.ts';
import { objectKey, pathOfKey } from './object-key.ts';
import type { ListedObject, ObjectStore } from './object-store.ts';
import { s3FailureReason } from './s3-failure.ts';

/** Heads asked at a time. */
const LOOKS_AT_A_TIME = 8;

export interface CatalogueOptions {
  readonly objects: Pick<ObjectStore, 'list' | 'head' | 'get'>;
  readonly store: CatalogueStore;
  readonly tally: Tally<typeof ORIGIN_COUNTERS>;
  readonly bodyTimeoutMillis: number;
}

export class CatalogueKeeper {
  readonly #options: CatalogueOptions;
  #json: { version: number; body: Buffer } | undefined;
  #complete = false;

  constructor(options: CatalogueOptions) {
    this.#options = options;
    this.#complete = options.store.keys().length > 0;
  }

  /** True once a whole listing is in, from this run or an earlier one. */
  get complete(): boolean {
    return this.#complete;
  }

  get version(): number {
    return this.#options.store.version;
  }

  /** The catalogue as JSON (type `Catalogue`), made once a version. */
  json(): { version: number; body: Buffer } {
    const { store } = this.#options;
    const version = store.version;
    if (this.#json?.version !== version)
      this.#json = { version, body: Buffer.from(`${JSON.stringify({ version, assets: store.assets() })}\n`) };
    return this.#json;
  }

  /** The digest of a whole object, where this version of it is known. */
  digest(key: string, etag: string): string | undefined {
    const known = this.#options.store.get(key);
    return known?.etag === etag ? known.sha256 : undefined;
  }

  /** Lists the bucket once and brings the catalogue up to date. Throws the SDK's error when S3 fails. */
  async refresh(signal: AbortSignal): Promise<void> {
    const { objects, store } = this.#options;
    const seen = new Set<string>();
    let next: string | undefined;
    do {
      const page = await objects.list(next, signal);
      const changed: KnownObject[] = [];
      const wanted = page.objects.filter(isAsset);
      for (const object of wanted) seen.add(object.key);
      const looks = wanted.filter((object) => !isSame(store.get(object.key), object));
      for (let i = 0; i < looks.length; i += LOOKS_AT_A_TIME) {
        const some = looks.slice(i, i + LOOKS_AT_A_TIME);
        for (const known of await Promise.all(some.map((object) => this.#look(object, signal))))
          if (known !== undefined) changed.push(known);
      }
      if (changed.length > 0) store.apply(changed, []);
      next = page.next;
    } while (next !== undefined);
    const gone = store.keys().filter((key) => !seen.has(key));
    if (gone.length > 0) store.apply([], gone);
    this.#complete = true;
    this.#options.tally.set('catalogue_assets', seen.size);
    this.#options.tally.set('catalogue_version', store.version);
  }

  /** One object's asset; undefined when it changed or went while we looked: the next listing has it. */
  async #look(object: ListedObject, signal: AbortSignal): Promise<KnownObject | undefined> {
    try {
      const head = await this.#options.objects.head(object.key, { ifMatch: object.etag }, signal);
      const sha256 = head.sha256 ?? (await this.#hashed(object, signal));
      return { key: object.key, asset: asset(object, sha256, contentType(object.key, head.contentType)) };
    } catch (error) {
      const reason = s3FailureReason(error);
      if (reason === 'not-found' || reason === 'precondition-failed') return undefined;
      throw error;
    }
  }

  async #hashed(object: ListedObject, signal: AbortSignal): Promise<string> {
    const { body } = await this.#options.objects.get(object.key, { ifMatch: object.etag }, signal);
    const stop = () => body.destroy(new Error('closing'));
    signal.addEventListener('abort', stop);
    const silence = setTimeout(() => {
      body.destroy(Object.assign(new Error('S3 went silent in a body'), { code: 'ETIMEDOUT' }));
    }, this.#options.bodyTimeoutMillis);
    const hash = createHash('sha256');
    let bytes = 0;
    try {
      for await (const chunk of body as AsyncIterable<Buffer>) {
        hash.update(chunk);
        bytes += chunk.length;
        silence.refresh();
      }
    } finally {
      clearTimeout(silence);
      signal.removeEventListener('abort', stop);
    }
    this.#options.tally.add('digested_bytes_total', bytes);
    if (bytes !== object.bytes) throw Object.assign(new Error('S3 cut a body short'), { code: 'ECONNRESET' });
    return hash.digest('hex');
  }
}

/** Folder markers and keys that no path can name are no assets. */
function isAsset(object: ListedObject): boolean {
  return !object.key.endsWith('/') && objectKey(pathOfKey(object.key)).ok;
}

function isSame(known: CatalogueAsset | undefined, object: ListedObject): boolean {
  return known !== undefined && known.etag === object.etag && known.bytes === object.bytes;
}

function asset(object: ListedObject, sha256: string, type: string): CatalogueAsset {
  const path = pathOfKey(object.key);
  return {
    path,
    bytes: object.bytes,
    sha256,
    etag: object.etag,
    contentType: type,
    lastModifiedMillis: object.lastModifiedMillis,
    title: path.split('/')[1]!,
  };
}
