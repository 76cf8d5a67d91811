/** Max-Forwards (RFC 9110 §7.6.2): how many servers an OPTIONS may still pass. TRACE goes nowhere from here. */

export type MaxForwards =
  /** None said, or nothing that is a number: the field is not ours to obey. */
  | { readonly kind: 'unbounded' }
  /** This server is the last: it answers for itself. */
  | { readonly kind: 'answer-here' }
  /** It may go on, with this in the field. */
  | { readonly kind: 'forward'; readonly left: number };

/** `line` is the field's value as it came. A number above 2^31-1 is brought down to it, as the RFC permits. */
export function maxForwards(line: string | undefined): MaxForwards {
  if (line === undefined || !/^[0-9]{1,20}$/.test(line)) return { kind: 'unbounded' };
  const left = Math.min(Number(line), 0x7fff_ffff);
  return left === 0 ? { kind: 'answer-here' } : { kind: 'forward', left: left - 1 };
}
