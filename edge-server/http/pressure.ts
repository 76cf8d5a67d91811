/** What connections must give up while memory is short; the worker says so, every connection obeys at its next look. */
export interface Pressure {
  /** Idle connections are closed after this at the latest, whatever the limit says; 0 leaves the limit alone. */
  readonly idleMillis: number;
  /** False: answers close their connection, idle ones are closed, HTTP/2 sessions get GOAWAY. */
  readonly keepAlive: boolean;
  /** False: new connections are reset. */
  readonly accepts: boolean;
}

export const NO_PRESSURE: Pressure = Object.freeze({ idleMillis: 0, keepAlive: true, accepts: true });
