/**
 * What an HTTP/2 client may send beside requests and bodies: resets by count, and all else (SETTINGS, PING, PRIORITY,
 * empty DATA, WINDOW_UPDATE, fields that are dropped) by bytes. A decision without a clock: time is an argument. Who
 * ends the connection is the session.
 */

/** An allowance that is used up by what happens and grows again with time. */
export class TokenBucket {
  readonly #burst: number;
  readonly #perMilli: number;
  #left: number;
  #atMillis: number;

  constructor(burst: number, perSecond: number, nowMillis: number) {
    this.#burst = burst;
    this.#perMilli = perSecond / 1000;
    this.#left = burst;
    this.#atMillis = nowMillis;
  }

  /** False once more was taken than there was. */
  take(count: number): boolean {
    this.#left -= count;
    return this.#left >= 0;
  }

  refill(nowMillis: number): void {
    const passed = Math.max(0, nowMillis - this.#atMillis);
    this.#left = Math.min(this.#burst, this.#left + passed * this.#perMilli);
    this.#atMillis = nowMillis;
  }
}

/** Prefix and string lengths of a field in HPACK (RFC 7541 §6.2.2), generously. */
export const FIELD_OVERHEAD_BYTES = 5;
/** Frame headers, priority and a little padding of a header block. */
export const HEADERS_OVERHEAD_BYTES = 64;
/** SETTINGS are seventeen times as dear to serve as their bytes say; a burst of 250 is still more than any client has. */
export const SETTINGS_BYTES = 256;
/** A PING is answered; 800 in a burst. */
export const PING_BYTES = 64;
/**
 * Clients acknowledge what they get by WINDOW_UPDATE frames of 13 bytes, for the stream and the connection: the most
 * diligent do so for every DATA frame. One byte for 32 lets them do so every 832 bytes.
 */
const BYTES_WRITTEN_PER_BYTE = 32;

/**
 * Bytes received that no request or body accounts for. What a client earns by a request, a body or by taking bytes
 * stays its own until the next `within` has passed: acknowledgements come after what they acknowledge.
 */
export class OverheadAllowance {
  readonly #burstBytes: number;
  readonly #bytesPerMilli: number;
  #leftBytes: number;
  #earnedBytes = 0;
  /** Earned since time last passed. */
  #freshBytes = 0;
  #atMillis: number;
  #readBytes = 0;
  #writtenBytes = 0;

  constructor(burstBytes: number, bytesPerSecond: number, nowMillis: number) {
    this.#burstBytes = burstBytes;
    this.#bytesPerMilli = bytesPerSecond / 1000;
    this.#leftBytes = burstBytes;
    this.#atMillis = nowMillis;
  }

  /** For a request: the bytes that it may have been on the wire. Called for each, so it only adds. */
  earn(bytes: number): void {
    this.#earnedBytes += bytes;
  }

  /** For a frame that costs more than its bytes. */
  charge(bytes: number): void {
    this.#leftBytes -= bytes;
  }

  /** Whether the client has kept within its allowance; the totals are those of the connection since it began. */
  within(nowMillis: number, readBytes: number, writtenBytes: number): boolean {
    const passed = Math.max(0, nowMillis - this.#atMillis);
    const earned =
      this.#earnedBytes +
      passed * this.#bytesPerMilli +
      Math.max(0, writtenBytes - this.#writtenBytes) / BYTES_WRITTEN_PER_BYTE;
    const used = Math.max(0, readBytes - this.#readBytes);
    const left = this.#leftBytes + earned - used;
    this.#freshBytes += earned;
    this.#leftBytes = left;
    if (passed > 0) {
      this.#leftBytes = Math.min(left, this.#burstBytes + this.#freshBytes);
      this.#freshBytes = 0;
    }
    this.#earnedBytes = 0;
    this.#atMillis = Math.max(this.#atMillis, nowMillis);
    this.#readBytes = readBytes;
    this.#writtenBytes = writtenBytes;
    return left >= 0;
  }
}
