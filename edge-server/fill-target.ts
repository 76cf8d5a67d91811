/**
 * The edge's store as the fill agent needs it: what is held of a path, and a body taken in by the same rules of
 * storability as a client's miss, visible only once its digest is right.
 */
import { createHash, type Hash } from 'node:crypto';
import type { FillHead, FillStore, FillWrite, HeldAsset } from '../fill/fill-store.ts';
import { cacheKey } from './cache/key.ts';
import { type CachePolicy, keyRule, policyAt } from './cache/policy.ts';
import { storability } from './cache/storability.ts';
import type { StoredResponse } from './cache/stored-response.ts';
import { Fields } from './http/fields.ts';
import { versionId } from './serve/version-id.ts';
import { SLICE_BYTES, type Store, type StoreWriter, type WriteOutcome } from './store/contract.ts';

export interface FillTargetOptions {
  readonly store: Store;
  /**
   * The policy of the service that is filled, and host and scheme under which clients ask for it; asked at each use,
   * since a reload replaces them.
   */
  filled(): { readonly policy: CachePolicy; readonly host: string; readonly scheme: 'http' | 'https' };
  owns(key: string): boolean;
}

export class FillTarget implements FillStore {
  readonly #options: FillTargetOptions;

  constructor(options: FillTargetOptions) {
    this.#options = options;
  }

  async held(path: string): Promise<HeldAsset | undefined> {
    const { store } = this.#options;
    const entry = store.shelf(this.#key(path))?.variant('');
    if (entry === undefined || store.purged(entry.response) !== 'no') return undefined;
    const { sha256, etag } = entry.response;
    return { complete: entry.complete, sha256, etag };
  }

  owns(path: string): boolean {
    return this.#options.owns(this.#key(path));
  }

  pin(path: string, pinned: boolean): void {
    this.#options.store.pin(this.#key(path), pinned);
  }

  begin(path: string, head: FillHead, expected: { readonly sha256: string }): FillWrite | undefined {
    const { store, filled } = this.#options;
    const { policy } = filled();
    if (!this.owns(path)) return undefined;
    const key = this.#key(path);
    const received = {
      status: head.status,
      fields: new Fields([...head.fields]),
      requestMillis: head.requestMillis,
      responseMillis: head.responseMillis,
    };
    const decided = storability(
      { method: 'GET', fields: new Fields(), hasBody: false, url: key },
      received,
      policyAt(policy, path),
    );
    if (!decided.store) return new RefusedWrite(decided.why);
    const response: StoredResponse = {
      ...decided.parts,
      id: versionId(),
      key,
      bodyLength: head.length,
      purgeNumber: store.purgeNumber,
      sha256: expected.sha256,
    };
    return new StoringWrite(store.begin(response), response);
  }

  #key(path: string): string {
    const { host, scheme, policy } = this.#options.filled();
    const key = cacheKey({ scheme, authority: host, target: path }, keyRule(policy));
    // A path that does not normalise is nobody's; its own text can't collide with a URL.
    return key.ok ? key.key : `unusable:${path}`;
  }
}

/** The origin does not let it be stored: says so once all came, so that the agent lists why. */
class RefusedWrite implements FillWrite {
  readonly #why: string;

  constructor(why: string) {
    this.#why = why;
  }

  async write(): Promise<void> {}

  async commit(): Promise<{ kind: 'refused'; why: string }> {
    return { kind: 'refused', why: `not storable: ${this.#why}` };
  }

  abandon(): void {}
}

/** Cuts the body into slices, and checks the digest over what the store was given. */
class StoringWrite implements FillWrite {
  readonly #writer: StoreWriter;
  readonly #response: StoredResponse;
  readonly #hash: Hash = createHash('sha256');
  #slice: Buffer;
  #filled = 0;
  #number = 0;
  #written = 0;
  #refused: Extract<WriteOutcome, { kind: 'refused' }> | undefined;

  constructor(writer: StoreWriter, response: StoredResponse) {
    this.#writer = writer;
    this.#response = response;
    this.#slice = this.#next();
  }

  async write(chunk: Buffer): Promise<void> {
    this.#hash.update(chunk);
    let from = 0;
    while (from < chunk.length && this.#refused === undefined) {
      if (this.#slice.length === 0) {
        this.#refused = { kind: 'refused', why: 'too-large' };
        return;
      }
      const took = chunk.copy(this.#slice, this.#filled, from);
      from += took;
      this.#filled += took;
      this.#written += took;
      if (this.#filled === this.#slice.length) await this.#flush();
    }
  }

  async commit(): Promise<WriteOutcome> {
    if (this.#refused === undefined && this.#written !== this.#response.bodyLength)
      this.#refused = { kind: 'refused', why: 'digest-mismatch' };
    if (this.#refused === undefined && this.#hash.digest('hex') !== this.#response.sha256)
      this.#refused = { kind: 'refused', why: 'digest-mismatch' };
    if (this.#refused === undefined) return this.#writer.finish(this.#response);
    this.#writer.abandon();
    return this.#refused;
  }

  abandon(): void {
    this.#writer.abandon();
  }

  async #flush(): Promise<void> {
    const outcome = await this.#writer.slice(this.#number, this.#slice);
    if (outcome.kind === 'refused') this.#refused = outcome;
    this.#number += 1;
    this.#filled = 0;
    this.#slice = this.#next();
  }

  #next(): Buffer {
    return Buffer.allocUnsafeSlow(
      Math.max(0, Math.min(SLICE_BYTES, this.#response.bodyLength - this.#number * SLICE_BYTES)),
    );
  }
}
