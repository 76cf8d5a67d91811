/**
 * What a configuration file may hold beyond plain options: sections, lists of sections, and mappings whose keys are the
 * operator's. The reader, `config check` and the published JSON schema come from the same tables.
 */
import type { Kinds, OptionKind, OptionSpec } from './option-table.ts';

/** Keys are camelCase; `canonicalHost` is `canonical-host:` in YAML. */
export type Shape = Readonly<Record<string, ShapeNode>>;

export type ShapeNode =
  | OptionSpec
  | { readonly kind: 'section'; readonly of: Shape; readonly help: string }
  | { readonly kind: 'sections'; readonly of: Shape; readonly most: number; readonly help: string }
  /** `key: value` pairs; `keys` is a regular expression that each key matches as a whole. */
  | {
      readonly kind: 'mapping';
      readonly keys: string;
      readonly what: string;
      readonly of: OptionSpec;
      readonly help: string;
    };

export type NodeValue<N> = N extends { kind: 'section'; of: infer S extends Shape }
  ? ValuesOf<S>
  : N extends { kind: 'sections'; of: infer S extends Shape }
    ? readonly ValuesOf<S>[]
    : N extends { kind: 'mapping'; of: { kind: infer K extends OptionKind } }
      ? Readonly<Record<string, Kinds[K]>>
      : N extends { kind: infer K extends OptionKind }
        ? Kinds[K]
        : never;

/** What is read: only the keys that the file has; those that are `required` are there. */
export type ValuesOf<S extends Shape> = {
  readonly [N in keyof S as S[N] extends { required: true } ? N : never]: NodeValue<S[N]>;
} & {
  readonly [N in keyof S as S[N] extends { required: true } ? never : N]?: NodeValue<S[N]>;
};

/** True for a plain option. */
export function isOption(node: ShapeNode): node is OptionSpec {
  return node.kind !== 'section' && node.kind !== 'sections' && node.kind !== 'mapping';
}
