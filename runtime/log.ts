/** Structured log lines by pino: JSON on stderr, asynchronous, one logger a process. stdout is left for answers. */
import { type DestinationStream, destination, type Logger, pino } from 'pino';

export type { Logger };

export interface LogOptions {
  /** Which part writes, e.g. `edge`, and its instance, e.g. `a1`. */
  part: string;
  instance?: string;
  level?: string;
  stream?: DestinationStream;
}

/** A logger whose lines carry `part` and `instance`. Level from `NEARCAST_LOG_LEVEL` unless given. */
export function createLog(options: LogOptions): Logger {
  const level = options.level ?? process.env.NEARCAST_LOG_LEVEL ?? 'info';
  const base: Record<string, string> = { part: options.part };
  if (options.instance !== undefined) base.instance = options.instance;
  const stream = options.stream ?? destination({ dest: 2, sync: false });
  return pino({ level, base, timestamp: pino.stdTimeFunctions.isoTime }, stream);
}

/** A logger that writes nothing, for tests that don't look at the log. */
export function silentLog(): Logger {
  return pino({ level: 'silent' });
}
