/** The connection layer's limits as the options say; 0 stays "no limit". */
import type { HttpLimits } from './http/limits.ts';
import type { EdgeOptions } from './options.ts';

/** The longest that a timer of Node's can wait, for one that can't be switched off. */
const LONGEST_TIMER_MILLIS = 2 ** 31 - 1;

export function connectionLimits(options: EdgeOptions): Partial<HttpLimits> {
  return {
    requestLineBytes: options.requestLine,
    fieldBytes: options.headerFields,
    fieldLines: options.headerLines,
    headerMillis: options.headerTimeout,
    idleMillis: options.idleTimeout,
    progressMillis: options.sendTimeout,
    lingerMillis: options.lingerTimeout,
    handshakeMillis: options.handshakeTimeout === 0 ? LONGEST_TIMER_MILLIS : options.handshakeTimeout,
    requestsPerConnection: options.requestsPerConnection,
    connectionsPerAddress: options.connectionsPerClient,
    connectionsPerWorker: options.connections,
    http2Streams: options.http2Streams,
    http2ResetBurst: options.http2Resets,
    http2ResetsPerSecond: options.http2ResetRate,
    http2OverheadBytes: options.http2Overhead,
    http2OverheadBytesPerSecond: options.http2OverheadRate,
  };
}
