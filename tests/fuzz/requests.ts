/**
 * Makes requests: valid ones with odd but legal fields, and mutations of them (flips, insertions, doubled and lost
 * fields, splices, garbage). Owns what is sent; what it means is `request-reading.ts`'s.
 */
import type { Random } from './random.ts';

export interface Made {
  readonly text: string;
  /** Nothing was mutated: the edge must not refuse its syntax. */
  readonly pristine: boolean;
}

/** Targets that answers are stored for; `/t/<tag>`. */
export const HOT = 1500;
const HOST = 'fuzz.example.org';

const FIELDS: readonly ((random: Random) => string)[] = [
  (random) => `Range: ${range(random)}`,
  (random) => `If-None-Match: ${tags(random)}`,
  (random) => `If-Match: ${tags(random)}`,
  (random) => `If-Range: ${random.chance(0.5) ? tag(random) : date(random)}\r\nRange: ${range(random)}`,
  (random) => `If-Modified-Since: ${date(random)}`,
  (random) => `If-Unmodified-Since: ${date(random)}`,
  (random) =>
    `Accept-Encoding: ${listOf(random, ['gzip', 'br', 'zstd', 'identity', '*', 'gzip;q=0', 'br;q=1.000', 'x', ';', 'gzip;q=9', ' ', ''])}`,
  (random) =>
    `Cache-Control: ${listOf(random, ['no-cache', 'max-age=0', 'max-stale', 'max-stale=5', 'min-fresh=1', 'max-age=99999999999999999999', 'no-transform', 'x="a,b"', '=', '"', 'only-if-cached', 'max-age=-1'])}`,
  (random) => `Accept-Language: ${listOf(random, ['de', 'en;q=0.5', '*', ',', '"', 'x'.repeat(random.below(300))])}`,
  (random) => `X-R: ${random.chance(0.5) ? random.below(4) : visible(random, random.below(40))}`,
  (random) => `User-Agent: Mozilla/5.0 (fuzz ${random.below(9)})`,
  (random) => `Cookie: a=${visible(random, random.below(60))}`,
  (random) => `Accept: */*${random.chance(0.3) ? `;q=${random.below(3)}` : ''}`,
  (random) => `Pragma: ${random.pick(['no-cache', 'x', ''])}`,
  (random) => `Via: 1.1 ${random.pick(['a', 'nearcast-edge', 'b, 1.0 c'])}`,
  (random) => `X-Forwarded-For: ${random.pick(['1.2.3.4', '::1', 'x', 'evil, evil'])}`,
  (random) => `Connection: ${random.pick(['keep-alive', 'X-R', 'Cache-Control, Host', 'Keep-Alive, x', ''])}`,
  (random) => (random.chance(0.1) ? `Upgrade: ${random.pick(['h2c', 'websocket', ''])}` : `X-${random.below(99)}: y`),
  (random) => `TE: ${random.pick(['trailers', 'gzip', 'chunked'])}`,
  (random) =>
    `${random.pick(['__proto__', 'constructor', 'toString', 'Content_Length', 'Proxy', 'X-HTTP-Method-Override'])}: ${random.pick(['5', 'GET', '{}'])}`,
  (random) => `Content-Length: 0`.padEnd(16 + random.below(2)),
]; // prettier-ignore

/** A request that is valid. `unique` numbers targets that nobody asked for before. */
export function validRequest(random: Random, unique: () => number): Made {
  const kind = random.below(1000);
  const fields = [`Host: ${HOST}`];
  for (let n = random.below(5); n > 0; n--) {
    const field = random.pick(FIELDS)(random);
    const name = field.slice(0, field.indexOf(':'));
    if (name === 'Content-Length' && fields.some((one) => one.startsWith(name))) continue;
    fields.splice(random.below(fields.length + 1), 0, field);
  }
  let method = random.chance(0.1) ? 'HEAD' : 'GET';
  let version = '1.1';
  let target = `/t/${random.below(HOT)}`;
  let body = '';
  if (kind < 10) target = `/u/${unique()}`;
  else if (kind < 11) target = oddTarget(random, unique());
  else if (kind < 18) {
    method = random.pick(['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'GET']);
    target = `/u/${unique()}`;
    body = random.chance(0.5) ? poison(unique()) : random.bytes(random.below(200));
    const kept = fields.filter((field) => !/^(content-length|upgrade)/i.test(field));
    fields.length = 0;
    fields.push(...kept);
    if (random.chance(0.5)) fields.push(`Content-Length: ${body.length}`);
    else {
      fields.push('Transfer-Encoding: chunked');
      body = chunked(random, body);
    }
    if (random.chance(0.1)) fields.push('Expect: 100-continue');
  } else if (kind < 21) {
    version = '1.0';
    if (random.chance(0.9)) fields.push('Connection: keep-alive');
  } else if (kind < 23) target = `http://${HOST}${target}`;
  else if (kind < 200) target = `/t/${kind % 8}`;
  const before = random.chance(0.01) ? '\r\n' : '';
  return {
    text: `${before}${method} ${target} HTTP/${version}\r\n${fields.join('\r\n')}\r\n\r\n${body}`,
    pristine: true,
  };
}

/** A request for an origin answer that is broken in its own way. */
export function hostileRequest(random: Random, unique: () => number): Made {
  const range = random.chance(0.2) ? 'Range: bytes=0-5\r\n' : '';
  const method = random.pick(['GET', 'GET', 'GET', 'HEAD', 'POST']);
  const length = method === 'POST' ? 'Content-Length: 3\r\n\r\nabc' : '\r\n';
  return { text: `${method} /h/${unique()} HTTP/1.1\r\nHost: ${HOST}\r\n${range}${length}`, pristine: false };
}

/** A mutation of one or two valid requests. */
export function mutated(random: Random, unique: () => number): Made {
  let text = validRequest(random, unique).text;
  for (let n = random.between(1, 3); n > 0; n--) text = mutation(random, text, unique);
  return { text, pristine: false };
}

export function garbage(random: Random): Made {
  const odd = random.pick([
    '',
    'GET ',
    'GET / HTTP/1.1\r\n',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    '\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03',
    '\r\n\r\n\r\n',
  ]);
  return { text: odd + random.bytes(random.below(1500)), pristine: false };
} // prettier-ignore

function mutation(random: Random, text: string, unique: () => number): string {
  const at = random.below(text.length + 1);
  const insert = (what: string) => text.slice(0, at) + what + text.slice(at);
  switch (random.below(15)) {
    case 0:
      return (
        text.slice(0, at) +
        String.fromCharCode(text.charCodeAt(at % text.length) ^ (1 << random.below(8))) +
        text.slice(at + 1)
      );
    case 1:
      return insert(
        random.pick([
          '\r',
          '\n',
          '\0',
          ' ',
          '\t',
          ':',
          ',',
          '"',
          '\x7f',
          '\xff',
          '\r\n',
          '\r\n ',
          '#',
          '%',
          '%00',
          '\\',
          ';',
        ]),
      );
    case 2:
      return insert(random.bytes(random.between(1, 8)));
    case 3:
      return text.slice(0, at) + text.slice(at + random.between(1, 6));
    case 4: {
      const lines = text.split('\r\n');
      const n = random.below(lines.length);
      lines.splice(n, 0, lines[n]!);
      return lines.join('\r\n');
    }
    case 5: {
      const lines = text.split('\r\n');
      lines.splice(random.below(lines.length), 1);
      return lines.join('\r\n');
    }
    case 6: {
      const other = validRequest(random, unique).text;
      return text.slice(0, at) + other.slice(random.below(other.length));
    }
    case 7:
      return addField(
        random,
        text,
        random.pick([
          'Content-Length: 5',
          'Content-Length: +5',
          'Content-Length: 5, 6',
          'Content-Length: 010',
          'Content-Length: ',
          'Content-Length: 0x5',
          'Transfer-Encoding: chunked',
          'Transfer-Encoding: gzip, chunked',
          'Transfer-Encoding: \x0bchunked',
          'Transfer-Encoding:\r\n chunked',
          'Transfer-Encoding : chunked',
          'Transfer-Encoding: xchunked',
          'Transfer-Encoding: chunked, chunked',
          'Transfer-Encoding: identity',
          'Host: other.example.org',
          'Host: a, b',
          'Host: a@b',
          'Host:',
          'Host: a:b:c',
          'Host: [::1',
          ' folded: x',
          'no colon',
          ': empty',
          'a b: c',
          'Expect: 100-continue',
          'Expect: x',
          'Connection: close',
          'Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings',
        ]),
      );
    case 8:
      return addField(random, text, `X: ${visible(random, random.pick([200, 9_000, 17_000]))}`);
    case 9:
      return addField(random, text, 'Y: z\r\n'.repeat(random.pick([50, 110])).slice(0, -2));
    case 10:
      return text.replace(
        /^[A-Z]+/,
        random.pick([
          'get',
          'GETT',
          'CONNECT',
          'TRACE',
          'PURGE',
          'HEA',
          'M-SEARCH',
          'BREW',
          '',
          'POST',
          'QUERY',
          'SOURCE',
        ]),
      );
    case 11:
      return text.replace(
        /HTTP\/1\.[01]/,
        random.pick(['HTTP/1.2', 'HTTP/2.0', 'HTTP/0.9', 'http/1.1', 'HTTP/1.1 ', 'HTTP/11', 'ICY', '', 'HTTP/1.10']),
      );
    case 12:
      return text.replace(/ \S+ /, ` ${oddTarget(random, unique())} `);
    case 13:
      return text.replaceAll('\r\n', '\n');
    default: {
      const length = random.below(12);
      return `${addField(random, text, `Content-Length: ${length}`)}${poison(unique())}`;
    }
  }
} // prettier-ignore

function addField(random: Random, text: string, field: string): string {
  const lines = text.split('\r\n');
  lines.splice(random.between(1, Math.max(1, lines.length - 2)), 0, field);
  return lines.join('\r\n');
}

/** A request that hides in a body: nobody may execute it. */
function poison(n: number): string {
  return `GET /poison/${n} HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`;
}

function oddTarget(random: Random, n: number): string {
  return random.pick([
    `/u/${n}/../${n}`,
    `/u/%2e%2e/${n}`,
    `//u/${n}`,
    `/u/${n}?a=b&a=b&&=`,
    `/u/${n}?`,
    `/u/..%2f${n}`,
    `/u/${n}%`,
    `/u/${n}%zz`,
    `/u/${n}%00`,
    `/u/${n};x=1`,
    `/u/${n}\\x`,
    `/u/"${n}"`,
    `/u/<${n}>`,
    `/u/${n}?%41%7e`,
    `/u/%e4${n}`,
    `/u/${n}/${'a'.repeat(random.below(4000))}`,
    `/u/${n}?${'b='.repeat(random.below(500))}`,
    `/U/${n}|^{}`,
    `/u/${n}/./././`,
    `*`,
    `http://${HOST}/u/${n}`,
    `HTTP://${HOST}`,
    `https://${HOST}/u/${n}`,
    `http://a@${HOST}/u/${n}`,
    `ftp://${HOST}/`,
    `/u/${n}#f`,
    `u/${n}`,
    `/u/${visible(random, random.below(30))}`,
  ]);
} // prettier-ignore

function chunked(random: Random, body: string): string {
  let text = '';
  for (let at = 0; at < body.length; ) {
    const size = random.between(1, 60);
    const piece = body.slice(at, at + size);
    at += size;
    text += `${piece.length.toString(16)}${random.chance(0.1) ? ';a=b' : ''}\r\n${piece}\r\n`;
  }
  return `${text}0\r\n${random.chance(0.1) ? 'X-Trailer: 1\r\n' : ''}\r\n`;
}

function range(random: Random): string {
  const n = () => random.pick([0, 1, 5, random.below(3000), 99999, '18446744073709551615', '-1', '', '01', 'x', ' 1']);
  const sets = Array.from({ length: random.pick([1, 1, 1, 2, 3, 20]) }, () => `${n()}-${n()}`);
  return `${random.pick(['bytes=', 'bytes=', 'bytes=', 'bytes = ', 'items=', 'BYTES=', 'bytes '])}${sets.join(random.pick([',', ', ', ',,']))}`;
}

function tag(random: Random): string {
  return random.pick(['"v"', 'W/"v"', '"x"', '"a,b"', '*', '"open', 'v', 'W/', '""', `"${random.below(9)}"`]);
}

function tags(random: Random): string {
  return listOf(
    random,
    Array.from({ length: 3 }, () => tag(random)),
  );
}

function date(random: Random): string {
  const now = Date.now() + (random.below(2_000_000) - 1_000_000) * 1000;
  return random.pick([
    new Date(now).toUTCString(),
    'Sun, 06 Nov 1994 08:49:37 GMT',
    'Sunday, 06-Nov-94 08:49:37 GMT',
    'Sun Nov  6 08:49:37 1994',
    '0',
    '-1',
    'x',
    'Sun, 99 Nov 9999 99:99:99 GMT',
    '',
  ]);
} // prettier-ignore

function listOf(random: Random, from: readonly string[]): string {
  return Array.from({ length: random.between(1, 3) }, () => random.pick(from)).join(
    random.pick([', ', ',', ' , ', ',,']),
  );
} // prettier-ignore

function visible(random: Random, length: number): string {
  let text = '';
  for (let i = 0; i < length; i++) text += String.fromCharCode(random.between(0x21, 0x7e));
  return text;
}
