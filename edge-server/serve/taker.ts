/** Who takes an upstream body as it comes. After `end` or `fail` nothing more comes. */
export interface Taker {
  piece(chunk: Buffer): void;
  /** It came whole. */
  end(): void;
  /** It will not be completed. */
  fail(why: string): void;
}
