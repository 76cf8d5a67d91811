/**
 * A POST's response that stands for GET (RFC 9110 §9.3.3): kept while it passes to its client, stored when it came
 * whole. Only what fits one slice: larger ones pass and are forgotten. Whether it may be stored is storability's word.
 */
import { policyAt } from '../cache/policy.ts';
import { storability } from '../cache/storability.ts';
import type { StoredResponse } from '../cache/stored-response.ts';
import { SLICE_BYTES } from '../store/contract.ts';
import type { UpstreamHead } from '../upstream/upstreams.ts';
import type { Ask, ServeContext } from './context.ts';
import { versionId } from './version-id.ts';

export class StoredPost {
  readonly #context: ServeContext;
  readonly #response: StoredResponse;
  #chunks: Buffer[] = [];
  #length = 0;

  /** `undefined` when it is not to be stored. To be called after the invalidation that the POST causes. */
  static of(context: ServeContext, ask: Ask, head: UpstreamHead): StoredPost | undefined {
    const { request, key } = ask;
    if (request.method !== 'POST' || !context.policy.storePost || !context.owns(key)) return undefined;
    const decided = storability(
      { method: 'POST', fields: request.fields, hasBody: true, url: key },
      head,
      policyAt(context.policy, ask.path),
    );
    if (!decided.store) return undefined;
    const { purgeNumber } = context.store;
    return new StoredPost(context, {
      ...decided.parts,
      id: versionId(),
      key,
      bodyLength: -1,
      purgeNumber,
      sha256: undefined,
    });
  }

  private constructor(context: ServeContext, response: StoredResponse) {
    this.#context = context;
    this.#response = response;
  }

  piece(chunk: Buffer): void {
    this.#length += chunk.length;
    if (this.#length <= SLICE_BYTES) this.#chunks.push(Buffer.from(chunk));
    else this.#chunks = [];
  }

  /** The body came whole. */
  end(): void {
    if (this.#length > SLICE_BYTES) return;
    const response = { ...this.#response, bodyLength: this.#length };
    const writer = this.#context.store.begin(response);
    const body = Buffer.concat(this.#chunks);
    const slice = body.length === 0 ? undefined : writer.slice(0, body);
    void Promise.resolve(slice)
      .then((outcome) => (outcome === undefined || outcome.kind === 'stored' ? writer.finish(response) : outcome))
      .then((outcome) => this.#context.counts.refused(outcome));
  }
}
