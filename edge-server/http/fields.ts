/**
 * Header fields as one flat list of lower-case names and values, in order of arrival, repeats kept.
 * No object is keyed by a name that comes from outside, so `__proto__` is a field like any other.
 */

export class Fields implements Iterable<[string, string]> {
  /** name, value, name, value, … Names are lower case. Read it on hot paths; change it through the methods. */
  readonly flat: string[];

  constructor(flat: string[] = []) {
    this.flat = flat;
  }

  /** From `[name, value, …]` with names in any case, as `node:http` and undici give them (`rawHeaders`). */
  static fromRaw(raw: readonly string[]): Fields {
    const flat = new Array<string>(raw.length);
    for (let i = 0; i < raw.length; i += 2) {
      flat[i] = raw[i]!.toLowerCase();
      flat[i + 1] = raw[i + 1]!;
    }
    return new Fields(flat);
  }

  static of(entries: Readonly<Record<string, string>>): Fields {
    const fields = new Fields();
    for (const [name, value] of Object.entries(entries)) fields.append(name, value);
    return fields;
  }

  /** The field's value, several lines joined with `, ` (RFC 9110 §5.3); `undefined` when absent. */
  get(name: string): string | undefined {
    const { flat } = this;
    let value: string | undefined;
    for (let i = 0; i < flat.length; i += 2)
      if (flat[i] === name) value = value === undefined ? flat[i + 1]! : `${value}, ${flat[i + 1]!}`;
    return value;
  }

  /** Each line's value on its own. */
  lines(name: string): string[] {
    const values: string[] = [];
    for (let i = 0; i < this.flat.length; i += 2) if (this.flat[i] === name) values.push(this.flat[i + 1]!);
    return values;
  }

  has(name: string): boolean {
    for (let i = 0; i < this.flat.length; i += 2) if (this.flat[i] === name) return true;
    return false;
  }

  append(name: string, value: string): void {
    this.flat.push(name.toLowerCase(), value);
  }

  /** Replaces every line of the field by one. */
  set(name: string, value: string): void {
    this.delete(name);
    this.append(name, value);
  }

  delete(name: string): void {
    const { flat } = this;
    let kept = 0;
    for (let i = 0; i < flat.length; i += 2) {
      if (flat[i] === name) continue;
      flat[kept] = flat[i]!;
      flat[kept + 1] = flat[i + 1]!;
      kept += 2;
    }
    flat.length = kept;
  }

  clone(): Fields {
    return new Fields(this.flat.slice());
  }

  *[Symbol.iterator](): Generator<[string, string]> {
    for (let i = 0; i < this.flat.length; i += 2) yield [this.flat[i]!, this.flat[i + 1]!];
  }
}
