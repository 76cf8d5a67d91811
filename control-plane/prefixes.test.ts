import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addressWordsText, type Prefix, PrefixTable, parseAddressWords, parsePrefix } from './prefixes.ts';

function prefix(text: string): Prefix {
  const parsed = parsePrefix(text);
  if ('wrong' in parsed) throw new Error(parsed.wrong);
  return parsed;
}

function table(...texts: string[]): PrefixTable<string> {
  return new PrefixTable(texts.map((text) => ({ prefix: prefix(text), value: text })));
}

function longest(of: PrefixTable<string>, address: string): string | undefined {
  return of.longest(parseAddressWords(address)!)?.value;
}

describe('addresses', () => {
  it.each([
    ['192.0.2.7', '192.0.2.7'],
    ['0.0.0.0', '0.0.0.0'],
    ['255.255.255.255', '255.255.255.255'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['::FFFF:c000:207', '192.0.2.7'],
    ['2001:db8:0:0:0:0:0:1', '2001:db8::1'],
    ['::', '::'],
    ['::1', '::1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
  ])('%s is read and written as %s', (text, canonical) => {
    expect(addressWordsText(parseAddressWords(text)!)).toBe(canonical);
  });

  it.each([
    '',
    '1.2.3',
    '1.2.3.4.5',
    '01.2.3.4',
    '256.1.1.1',
    '1.2.3.-4',
    ' 1.2.3.4',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '12345::',
    'g::',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7::8',
    '::1.2.3',
  ])('%j is none', (text) => {
    expect(parseAddressWords(text)).toBeUndefined();
  });
});

describe('prefixes', () => {
  it('have no bits beyond their length; the message gives the right one', () => {
    expect(parsePrefix('127.0.0.1/8')).toEqual({ wrong: expect.stringContaining('127.0.0.0/8') });
  });

  it.each(['10.0.0.0/33', '10.0.0.0/', '10.0.0.0/-1', '::/129', 'x/8', '10.0.0.0/8/8'])('%s is refused', (text) => {
    expect(parsePrefix(text)).toHaveProperty('wrong');
  });
});

describe('the longest prefix', () => {
  it('wins, and outside of it the shorter one holds again', () => {
    const of = table('10.0.0.0/8', '10.1.0.0/16', '10.1.2.0/24');
    expect(longest(of, '10.1.2.255')).toBe('10.1.2.0/24');
    expect(longest(of, '10.1.3.0')).toBe('10.1.0.0/16');
    expect(longest(of, '10.2.0.0')).toBe('10.0.0.0/8');
    expect(longest(of, '11.0.0.0')).toBeUndefined();
    expect(longest(of, '9.255.255.255')).toBeUndefined();
  });

  it('works at both ends of the address space and for everything', () => {
    const of = table(
      '0.0.0.0/0',
      '255.255.255.255/32',
      '0.0.0.0/32',
      '::/0',
      'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128',
    );
    expect(longest(of, '0.0.0.0')).toBe('0.0.0.0/32');
    expect(longest(of, '0.0.0.1')).toBe('0.0.0.0/0');
    expect(longest(of, '255.255.255.255')).toBe('255.255.255.255/32');
    expect(longest(of, '2001:db8::')).toBe('::/0');
    expect(longest(of, 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff')).toContain('/128');
  });

  it('keeps IPv4 and IPv6 apart', () => {
    expect(longest(table('::/0'), '192.0.2.1')).toBeUndefined();
    expect(longest(table('0.0.0.0/0'), '2001:db8::1')).toBeUndefined();
  });

  const words = fc.constantFrom(1, 4).chain((size) =>
    fc.tuple(
      fc.constant(size),
      // Few distinct bits, so that random prefixes nest and touch.
      fc.array(fc.constantFrom(0, 1, 0x8000_0000, 0xffff_ffff, 0x0a00_0000, 0x0a01_0000), {
        minLength: size,
        maxLength: size,
      }),
    ),
  );
  const randomPrefix = words.chain(([size, address]) =>
    fc.integer({ min: 0, max: size * 32 }).map((length) => {
      const cleared = address.map((word, i) => {
        const bits = Math.max(0, Math.min(32, length - i * 32));
        return bits === 0 ? 0 : (word & (bits === 32 ? 0xffff_ffff : ~(0xffff_ffff >>> bits))) >>> 0;
      });
      return prefix(`${addressWordsText(cleared)}/${length}`.replace(/^(\d+\.\d+\.\d+\.\d+)\/(\d+)$/, '$1/$2'));
    }),
  );

  it('is what a naive search finds, for random tables', () => {
    fc.assert(
      fc.property(
        fc.array(randomPrefix, { maxLength: 40 }),
        fc.array(words, { minLength: 1, maxLength: 20 }),
        (prefixes, addresses) => {
          const of = new PrefixTable(prefixes.map((one) => ({ prefix: one, value: one.text })));
          for (const [, address] of addresses) {
            const naive = prefixes
              .filter((one) => one.words.length === address.length && covers(one, address))
              .sort((a, b) => b.length - a.length)[0];
            expect(of.longest(address)?.value).toBe(naive?.text);
          }
        },
      ),
    );
  });
});

function covers({ words, length }: Prefix, address: readonly number[]): boolean {
  const bits = (of: readonly number[]) => of.map((word) => word.toString(2).padStart(32, '0')).join('');
  return bits(words).slice(0, length) === bits(address).slice(0, length);
}
