/**
 * Errors that a person or a program acts on: a code, where the fault lies, whether a retry helps, and the fix.
 * What is expected is returned as an outcome; these are thrown when the work can't go on.
 */

/** Where a fault lies. */
export type FaultSource = 'client' | 'operator' | 'origin' | 'peer' | 'disk' | 'internal';

/** Exit codes of every command (conventions: 0 done, 1 failed, 2 usage, 3 not found, 4 conflict, 75 try again). */
export const EXIT = { done: 0, failed: 1, usage: 2, notFound: 3, conflict: 4, tryAgain: 75 } as const;

export interface FaultDetails {
  source: FaultSource;
  /** True when the same call may succeed later without anybody changing anything. */
  retry?: boolean;
  /** One sentence that says what to do. */
  fix?: string;
  exit?: number;
  cause?: unknown;
}

/** A fault with a stable code, e.g. `port-in-use`. `message` names the place; `fix` says what to do about it. */
export class Fault extends Error {
  readonly code: string;
  readonly source: FaultSource;
  readonly retry: boolean;
  readonly fix: string | undefined;
  readonly exit: number;

  constructor(code: string, message: string, details: FaultDetails) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = 'Fault';
    this.code = code;
    this.source = details.source;
    this.retry = details.retry ?? false;
    this.fix = details.fix;
    this.exit = details.exit ?? EXIT.failed;
  }

  /** The one line an operator sees: `error: port-in-use: 127.0.0.1:8080 is taken; stop the other process or ...`. */
  line(): string {
    const fix = this.fix === undefined ? '' : `; ${this.fix}`;
    return `error: ${this.code}: ${this.message}${fix}`;
  }
}

/** Turns a failed `listen` into the fault that names the address and the fix; other errors pass through. */
export function listenFault(error: unknown, address: string, option: string): unknown {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'EADDRINUSE')
    return new Fault('port-in-use', `${address} is taken by another process`, {
      source: 'operator',
      fix: `stop it or choose another with --${option}`,
      exit: EXIT.conflict,
      cause: error,
    });
  if (code === 'EADDRNOTAVAIL' || code === 'EACCES')
    return new Fault('cannot-listen', `${address}: ${code}`, {
      source: 'operator',
      fix: `give --${option} an address and port that this machine may use`,
      cause: error,
    });
  return error;
}
