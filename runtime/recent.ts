/**
 * A bounded memory of what was worked out from short texts that come again and again: a pure function's results, kept
 * until there are too many of them and then forgotten all at once. One Map look-up for what is known.
 */

/** Texts longer than this are worked out each time: they are rare, and would make the memory large. */
const LONGEST = 256;

export function remembering<T>(most: number, work: (text: string) => T): (text: string) => T {
  const known = new Map<string, T>();
  return (text) => {
    if (text.length > LONGEST) return work(text);
    const found = known.get(text);
    if (found !== undefined) return found;
    const made = work(text);
    if (known.size >= most) known.clear();
    known.set(text, made);
    return made;
  };
}
