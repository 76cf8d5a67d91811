/** Outcomes are unions that carry the reason, never a boolean beside a string. */
export type Ok<T> = { ok: true; value: T };
export type Refused<R extends string = string> = { ok: false; reason: R; detail?: string };
export type Outcome<T, R extends string = string> = Ok<T> | Refused<R>;

/** For the `default` of a `switch` over a union: the compiler proves that nothing is left over. */
export function never(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`);
}
