/** How a response ended, told once to whoever asked (`ResponseSink.onClose`); shared by the sinks of all front ends. */

export class Ending {
  #whole: boolean | undefined;
  #callback: ((whole: boolean) => void) | undefined;
  #more: ((whole: boolean) => void)[] | undefined;

  get over(): boolean {
    return this.#whole !== undefined;
  }

  /** The first call decides; later ones are nothing. */
  end(whole: boolean): void {
    if (this.#whole !== undefined) return;
    this.#whole = whole;
    this.#callback?.(whole);
    if (this.#more !== undefined) for (const callback of this.#more) callback(whole);
    this.#callback = undefined;
    this.#more = undefined;
  }

  tell(callback: (whole: boolean) => void): void {
    if (this.#whole !== undefined) callback(this.#whole);
    else if (this.#callback === undefined) this.#callback = callback;
    else {
      this.#more ??= [];
      this.#more.push(callback);
    }
  }
}
