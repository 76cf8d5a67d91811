/** Buffers lent to a stream (`ResponseSink.write`): each is given back once, when its bytes have left or never will. */

export class Releases {
  readonly #out = new Set<() => void>();

  /** What to give the stream as its callback. */
  lend(released: () => void): () => void {
    const back = () => {
      if (this.#out.delete(back)) released();
    };
    this.#out.add(back);
    return back;
  }

  /** The stream is gone, and may have forgotten its callbacks. */
  returnAll(): void {
    for (const back of [...this.#out]) back();
  }
}
