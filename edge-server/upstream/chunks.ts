/**
 * The chunked coding, read strictly as it arrives (RFC 9112 §7.1): sizes, data, trailers. Trailers are not header
 * fields (RFC 9110 §6.5.1): they are checked for their form and dropped. Holds no bytes of the body.
 */

/** What `next` found at the position given. */
export type ChunkStep =
  /** Body bytes `[from, to)`; go on at `to`. */
  | { kind: 'data'; from: number; to: number }
  /** Everything given has been read. */
  | { kind: 'more' }
  /** The body has ended before position `at`. */
  | { kind: 'end'; at: number }
  | { kind: 'malformed'; why: string };

type State =
  | 'size'
  | 'blank'
  | 'extension'
  | 'size-lf'
  | 'data'
  | 'data-cr'
  | 'data-lf'
  | 'trailer'
  | 'trailer-lf'
  | 'end-lf';

const CR = 13;
const LF = 10;
const SEMICOLON = 59;
/** 2^48: beyond any body, and still exact. */
const MOST_DIGITS = 12;
const MOST_LINE_BYTES = 4 * 1024;
const MOST_TRAILER_BYTES = 16 * 1024;

const MORE: ChunkStep = { kind: 'more' };

export class Chunks {
  #state: State = 'size';
  #left = 0;
  #digits = 0;
  #line = 0;
  /** Where a trailer line's colon is: 0 not yet, else its distance from the line's begin plus one. */
  #colon = 0;
  #trailers = 0;
  readonly #data = { kind: 'data' as const, from: 0, to: 0 };

  begin(): void {
    this.#state = 'size';
    this.#left = this.#digits = this.#line = this.#colon = this.#trailers = 0;
  }

  /** The next step in `bytes[at, length)`. The object given back is used again. */
  next(bytes: Uint8Array, at: number, length: number): ChunkStep {
    let i = at;
    while (i < length) {
      const byte = bytes[i]!;
      switch (this.#state) {
        case 'data': {
          const to = Math.min(length, i + this.#left);
          this.#left -= to - i;
          if (this.#left === 0) this.#state = 'data-cr';
          this.#data.from = i;
          this.#data.to = to;
          return this.#data;
        }
        case 'size': {
          const digit = hexDigit(byte);
          if (digit >= 0) {
            if (++this.#digits > MOST_DIGITS) return malformed('chunk size');
            this.#left = this.#left * 16 + digit;
          } else if (this.#digits === 0) return malformed('chunk size');
          else if (byte === CR) this.#state = 'size-lf';
          else if (byte === SEMICOLON) this.#state = 'extension';
          else if (byte === 32 || byte === 9) this.#state = 'blank';
          else return malformed('chunk size');
          break;
        }
        case 'blank':
          // Blanks stand only before an extension: `1 1` is not a size that every reader understands alike.
          if (byte === SEMICOLON) this.#state = 'extension';
          else if ((byte !== 32 && byte !== 9) || ++this.#line > MOST_LINE_BYTES) return malformed('chunk size line');
          break;
        case 'extension':
          if (byte === CR) this.#state = 'size-lf';
          else if (byte === LF || byte === 0 || ++this.#line > MOST_LINE_BYTES) return malformed('chunk extension');
          break;
        case 'size-lf':
          if (byte !== LF) return malformed('chunk size line');
          this.#state = this.#left === 0 ? 'trailer' : 'data';
          this.#digits = this.#line = this.#colon = 0;
          break;
        case 'data-cr':
          if (byte !== CR) return malformed('chunk longer than its size');
          this.#state = 'data-lf';
          break;
        case 'data-lf':
          if (byte !== LF) return malformed('chunk end');
          this.#state = 'size';
          break;
        case 'trailer': {
          const wrong = this.#trailer(byte);
          if (wrong !== undefined) return malformed(wrong);
          break;
        }
        case 'trailer-lf':
          if (byte !== LF) return malformed('trailer line');
          this.#state = 'trailer';
          this.#line = this.#colon = 0;
          break;
        case 'end-lf':
          if (byte !== LF) return malformed('end of trailers');
          return { kind: 'end', at: i + 1 };
      }
      i++;
    }
    return MORE;
  }

  #trailer(byte: number): string | undefined {
    if (byte === CR) {
      if (this.#line === 0) this.#state = 'end-lf';
      else if (this.#colon <= 1) return 'trailer line without a name';
      else this.#state = 'trailer-lf';
      return undefined;
    }
    if (byte === LF || byte === 0 || ++this.#trailers > MOST_TRAILER_BYTES) return 'trailers';
    this.#line++;
    if (byte === 58 && this.#colon === 0) this.#colon = this.#line;
    return undefined;
  }
}

function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const lower = byte | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}

function malformed(why: string): ChunkStep {
  return { kind: 'malformed', why };
}
