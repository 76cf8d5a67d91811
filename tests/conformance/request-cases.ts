/**
 * What an HTTP/1.1 server is sent and must answer, in the manner of Http11Probe and the HTTP garden: one row a case,
 * with the section that decides it. Where the RFC leaves a choice, the strict one is ours.
 */

/**
 * `served`: answered with this status, and the request behind it is read from the right byte. `closed`: answered with
 * this status, the last answer of its connection. `answered`: either of these. `refused`: 4xx or 5xx of the list, closed, the request behind it never
 * executed, and the origin not asked. `cut`: never ended, so never executed.
 */
export type Expected =
  | { readonly kind: 'served' | 'closed' | 'answered'; readonly status: number }
  | { readonly kind: 'refused'; readonly statuses: readonly number[] }
  | { readonly kind: 'cut' };

export interface RequestCase {
  readonly section: string;
  readonly name: string;
  /** `%` stands for the case's own path. */
  readonly text: string;
  readonly expected: Expected;
}

const cases: RequestCase[] = [];
const HOST = 'Host: conformance.example.org\r\n';
const say = (text: string) => JSON.stringify(text.length > 70 ? `${text.slice(0, 50)}… (${text.length})` : text);

function row(section: string, name: string, text: string, expected: Expected): void {
  cases.push({ section, name, text, expected });
}
/** With 400, or what a parser that stops at another place may say instead. */
const refused = (section: string, name: string, text: string, statuses = [400]) =>
  row(section, name, text, { kind: 'refused', statuses });
const served = (section: string, name: string, text: string, status = 200) =>
  row(section, name, text, { kind: 'served', status });
const closed = (section: string, name: string, text: string, status = 200) =>
  row(section, name, text, { kind: 'closed', status });
const answered = (section: string, name: string, text: string, status = 200) =>
  row(section, name, text, { kind: 'answered', status });
const cut = (section: string, name: string, text: string) => row(section, name, text, { kind: 'cut' });

const get = (fields: string, host = HOST) => `GET % HTTP/1.1\r\n${host}${fields}\r\n`;
const post = (fields: string, body = '', host = HOST) => `POST % HTTP/1.1\r\n${host}${fields}\r\n${body}`;
const chunked = (body: string) => post('Transfer-Encoding: chunked\r\n', body);

// The request line: RFC 9112 §3.
const LINES = [
  ...[
    'GET %\r\n',
    'GET % \r\n',
    'GET\r\n',
    'GET \r\n',
    ' GET % HTTP/1.1\r\n',
    '\tGET % HTTP/1.1\r\n',
    'GET\t% HTTP/1.1\r\n',
  ],
  ...[
    'GET %\tHTTP/1.1\r\n',
    'GET % HTTP/1.1 \r\n',
    'GET % HTTP/1.1\t\r\n',
    'GET % HTTP/1.1 x\r\n',
    'GET % x HTTP/1.1\r\n',
  ],
  ...[
    'GET HTTP/1.1\r\n',
    'GET\v% HTTP/1.1\r\n',
    'GET\f% HTTP/1.1\r\n',
    'GET\xa0% HTTP/1.1\r\n',
    '   \r\n',
    'HTTP/1.1 200 OK\r\n',
  ],
]; // prettier-ignore
for (const line of LINES) refused('RFC 9112 §3', say(line), `${line}${HOST}\r\n`, [400, 505]);
for (const version of [
  ...[
    'HTTP/1',
    'HTTP/1.',
    'HTTP/.1',
    'HTTP/01.1',
    'HTTP/1.01',
    'HTTP/ 1.1',
    'HTTP/1 .1',
    'HTTP/1.1.1',
    'HTTP/1,1',
    'HTTP/-1.1',
  ],
  ...['http/1.1', 'Http/1.1', 'HTTP 1.1', 'HTTP/x.y', 'HTTPS/1.1', 'HTTP/1.10', 'ICY/1.1', 'HTTP\\1.1', 'HTTP/１.1'],
]) // prettier-ignore
  refused(
    'RFC 9112 §2.3',
    `version ${say(version)}`,
    `GET % ${Buffer.from(version).toString('latin1')}\r\n${HOST}\r\n`,
  );
for (const version of ['0.0', '0.9', '1.2', '1.9', '2.0', '2.1', '3.0', '9.9'])
  refused('RFC 9110 §15.6.6', `version ${version}`, `GET % HTTP/${version}\r\n${HOST}\r\n`, [400, 505]);
refused('RFC 9113 §3.4', 'the preface of HTTP/2 on HTTP/1.1', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [400, 405, 505]);
for (const method of [
  'G\0T',
  'G T',
  'GÉT',
  'G{T',
  'G,T',
  'G@T',
  'G(T',
  'G"T',
  'G/T',
  'G:T',
  'G=T',
  'G\x7fT',
  '\x01GET',
  'GET\r',
])
  refused('RFC 9110 §9.1', `method ${say(method)}`, `${method} % HTTP/1.1\r\n${HOST}\r\n`); // prettier-ignore
for (const method of ['get', 'Get', 'GeT', 'gET', 'HEADER', 'G', 'BREW', 'X'.repeat(40)])
  refused('RFC 9110 §9.1', `method ${method} is not known`, `${method} % HTTP/1.1\r\n${HOST}\r\n`, [400, 405, 501]);
refused(
  'RFC 9110 §9.1',
  'a method of 100 KB',
  `${'M'.repeat(100_000)} % HTTP/1.1\r\n${HOST}\r\n`,
  [400, 414, 431, 501],
);
for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS', 'POST', 'HEAD'])
  served('RFC 9110 §9.3', `${method} without a body`, `${method} % HTTP/1.1\r\n${HOST}\r\n`);
for (const method of ['GET', 'DELETE', 'OPTIONS', 'PATCH', 'PUT', 'POST', 'HEAD'])
  served(
    'RFC 9112 §6.3',
    `${method} with a body of five bytes`,
    `${method} % HTTP/1.1\r\n${HOST}Content-Length: 5\r\n\r\nhello`,
  );
for (const method of ['GET', 'DELETE', 'OPTIONS', 'POST'])
  served(
    'RFC 9112 §6.3',
    `${method} with a chunked body that looks like a request`,
    `${method} % HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n1a\r\nGET /smuggled HTTP/1.1\r\n\r\n\r\n0\r\n\r\n`,
  ); // prettier-ignore
refused('RFC 9110 §9.3.6', 'CONNECT', `CONNECT conformance.example.org:443 HTTP/1.1\r\n${HOST}\r\n`, [400, 405]);
served('RFC 9110 §9.3.8', 'TRACE', `TRACE % HTTP/1.1\r\n${HOST}\r\n`, 405);

// The target: RFC 9112 §3.2.
for (const target of [
  ...[
    'a',
    '//',
    '?a',
    'http:',
    'http:/',
    'http://',
    'http:///a',
    'http://@/',
    'http://u@h/',
    'http://h:port/',
    'http://h:99999/',
  ],
  ...[
    'ftp://h/',
    'file:///etc/passwd',
    'javascript:x',
    '*',
    '*a',
    '/*#',
    '/a#b',
    '#',
    'h:80',
    'h',
    '../a',
    '\\',
    '\\a',
    '.',
  ],
  ...['/\0', '/\x01', '/\x1f', '/\x7f', '/\x80', '/\xff', '/\xc3\xa9', '/\xc0\xaf', '/a\vb', '/a\fb'],
]) {
  if (target === '//') continue;
  refused('RFC 9112 §3.2', `target ${say(target)}`, `GET ${target} HTTP/1.1\r\n${HOST}\r\n`);
}
for (const target of ['/%', '/%zz', '/%0', '/%00', '/a%00b'])
  row('RFC 3986 §2.1', `target ${target}`, `GET ${target} HTTP/1.1\r\n${HOST}\r\n`, { kind: 'served', status: 400 });
for (const target of [
  '%?',
  '%?a=b&c',
  '%//',
  '%/..;/a',
  '%/%2e%2e',
  '%?%0d%0aX:%20y',
  "%/!$&'()*+,;=:@~",
  '%/[]{}|^`"<>',
])
  served('RFC 3986 §3.3', `target ${target}`, `GET ${target} HTTP/1.1\r\n${HOST}\r\n`);
served('RFC 9112 §3.2.4', 'OPTIONS *', `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`);
refused('RFC 9112 §3.2.4', 'POST *', `POST * HTTP/1.1\r\n${HOST}Content-Length: 0\r\n\r\n`);
refused('RFC 9112 §3.2.3', 'authority-form with GET', `GET conformance.example.org:80 HTTP/1.1\r\n${HOST}\r\n`);
refused('RFC 9112 §3', 'a target of 100 KB', `GET /${'a'.repeat(100_000)} HTTP/1.1\r\n${HOST}\r\n`, [414, 431]);

// Host: RFC 9112 §3.2, RFC 9110 §7.2.
refused('RFC 9112 §3.2', 'no Host', get('', ''));
refused('RFC 9112 §3.2', 'no Host with a body', post('Content-Length: 0\r\n', '', ''));
for (const host of [
  ...[
    '',
    ' ',
    'a b',
    'a,b',
    'a, b',
    'a/b',
    'a/',
    'u@a',
    'u:p@a',
    'a?b',
    'a#b',
    'http://a',
    'a:b',
    'a:80:80',
    'a:-1',
    'a:+80',
    'a:0x50',
  ],
  ...[
    ':80',
    'a:65536',
    'a:999999',
    '[::1',
    '::1',
    '[::1]x',
    '[::1]:x',
    '[zz]',
    '[]',
    'a\tb',
    'a\0',
    'a\x7f',
    '\xe9.org',
    'a%2eb',
    "a'b",
    'a"b',
    'a<b',
    'a\\b',
    'a;b',
    'a{b',
    'a|b',
    'a^b',
    'a`b',
    '*',
    'a'.repeat(300),
  ],
]) // prettier-ignore
  refused('RFC 9110 §7.2', `Host: ${say(host)}`, get('', `Host: ${host}\r\n`));
for (const host of [
  'a',
  'A.Example.ORG',
  'a:80',
  'a:8080',
  'a:',
  '127.0.0.1',
  '[::1]',
  '[::1]:80',
  'a_b',
  'xn--a',
  ' a',
  'a ',
  '\ta\t',
])
  served('RFC 9110 §7.2', `Host: ${say(host)}`, get('', `Host: ${host}\r\n`));
refused('RFC 9112 §3.2', 'two equal Hosts', get(HOST));
refused('RFC 9112 §3.2', 'two unlike Hosts', get('hOST: b\r\n'));
refused('RFC 9112 §3.2', 'a folded Host', get('', 'Host:\r\n a\r\n'));

// Field lines: RFC 9112 §5, RFC 9110 §5.
for (let code = 0; code < 256; code++) {
  const character = String.fromCharCode(code);
  if (/[!#$%&'*+.^_`|~0-9A-Za-z:-]/.test(character)) continue;
  const name = `byte 0x${code.toString(16).padStart(2, '0')}`;
  refused('RFC 9112 §5.1', `${name} in a field name`, get(`X${character}Y: 1\r\n`));
  refused('RFC 9112 §5.1', `${name} before the colon`, get(`X${character}: 1\r\n`));
  if (code < 32 && code !== 9 && code !== 10)
    refused('RFC 9110 §5.5', `${name} in a field value`, get(`X: a${character}b\r\n`));
}
refused('RFC 9110 §5.5', 'DEL in a field value', get('X: a\x7fb\r\n'));
refused('RFC 9112 §5', 'an empty name', get(': 1\r\n'));
refused('RFC 9112 §5', 'no colon', get('nothing\r\n'));
refused('RFC 9112 §5', 'no colon before Host', get('nothing\r\n', '') + HOST);
for (const fold of [
  'X: a\r\n b\r\n',
  'X: a\r\n\tb\r\n',
  'X:\r\n a\r\n',
  'X: a\r\n \r\n',
  ' X: a\r\n',
  '\tX: a\r\n',
  ' \r\n',
])
  refused('RFC 9112 §5.2', `folded: ${say(fold)}`, get(fold));
refused('RFC 9112 §2.2', 'a space before the first field', `GET % HTTP/1.1\r\n ${HOST}\r\n`);
refused('RFC 9112 §2.2', 'an empty line of space before Host', `GET % HTTP/1.1\r\n \r\n${HOST}\r\n`);
for (const [name, text] of [
  ['bare LF after the request line', `GET % HTTP/1.1\n${HOST}\r\n`],
  ['bare LF after a field', `GET % HTTP/1.1\r\nHost: a\nX: b\r\n\r\n`],
  ['bare LF as the last line', `GET % HTTP/1.1\r\n${HOST}\n`],
  ['bare LF throughout', 'GET % HTTP/1.1\nHost: a\n\n'],
  ['bare CR after the request line', `GET % HTTP/1.1\r${HOST}\r\n`],
  ['bare CR after a field', `GET % HTTP/1.1\r\nHost: a\rX: b\r\n\r\n`],
  ['bare CR before the last line', `GET % HTTP/1.1\r\n${HOST}\r\r\n`],
  ['CR CR LF', `GET % HTTP/1.1\r\r\n${HOST}\r\n`],
  ['LF CR', `GET % HTTP/1.1\n\r${HOST}\n\r`],
  ['CR in the target', `GET /a\rb HTTP/1.1\r\n${HOST}\r\n`],
  ['NUL after the head', `GET % HTTP/1.1\r\n${HOST}\0\r\n\r\n`],
] as const)
  refused('RFC 9112 §2.2', name, text);
served('RFC 9112 §2.2', 'an empty line before the request', `\r\n${get('')}`);
for (const fields of [
  'X:\r\n',
  'X: \t \r\n',
  'X:a\r\n',
  'X:\ta\t\r\n',
  'X: a:b\r\n',
  'X: caf\xe9\r\n',
  'X: "a, b"\r\n',
  'x: 1\r\nX: 2\r\n',
  '__proto__: 1\r\n',
  "!#$%&'*+-.^_`|~: 1\r\n",
])
  served('RFC 9112 §5', say(fields), get(fields)); // prettier-ignore
refused('RFC 6585 §5', 'a field of 100 KB', get(`X: ${'a'.repeat(100_000)}\r\n`), [431]);
refused('RFC 6585 §5', 'a name of 100 KB', get(`${'a'.repeat(100_000)}: 1\r\n`), [431]);
refused('RFC 6585 §5', 'a thousand fields', get('X: 1\r\n'.repeat(1000)), [431]);

// Length: RFC 9110 §8.6, RFC 9112 §6.3.
for (const length of [
  ...[
    '',
    ' ',
    '+5',
    '-5',
    '-0',
    '0x5',
    '5,5',
    '5, 5',
    '5 5',
    '5;',
    '5.0',
    '5e0',
    '1_0',
    '05',
    '00',
    '0 0',
    'five',
    '5\0',
    '\v5',
    '5\f',
    '٥',
    '"5"',
    "'5'",
  ],
  ...[
    '9'.repeat(16),
    '9'.repeat(40),
    '18446744073709551621',
    '4294967301,5',
    '0,5',
    ',5',
    '5,',
    '5\xa0',
    '\xa05',
    '５',
  ],
]) // prettier-ignore
  refused(
    'RFC 9110 §8.6',
    `Content-Length: ${say(length)}`,
    post(`Content-Length: ${Buffer.from(length).toString('latin1')}\r\n`, 'hello'),
  );
for (const fields of [
  ...[
    'Content-Length: 5\r\nContent-Length: 5\r\n',
    'Content-Length: 5\r\nContent-Length: 0\r\n',
    'Content-Length: 0\r\nContent-Length: 5\r\n',
  ],
  ...[
    'Content-Length: 5\r\ncontent-length: 6\r\n',
    'Content-Length : 5\r\n',
    'Content-Length\t: 5\r\n',
    'Content-Length:\r\n 5\r\n',
    ' Content-Length: 5\r\n',
  ],
]) // prettier-ignore
  refused('RFC 9110 §8.6', say(fields), post(fields, 'hello'));
for (const fields of ['Content-Length: 5\r\n', 'content-length:5\r\n', 'CONTENT-LENGTH: \t5 \r\n'])
  served('RFC 9110 §8.6', say(fields), post(fields, 'hello'));
served('RFC 9112 §6.3', 'Content-Length: 0', post('Content-Length: 0\r\n'));
served('RFC 9112 §6.3', 'no length and no body', post(''));
for (const fields of [
  'Content_Length: 5\r\n',
  'Content Length_: 5\r\n',
  'Content-Length-: 5\r\n',
  'X-Content-Length: 5\r\n',
])
  (fields.includes(' L') ? refused : served)('RFC 9112 §6.3', `${say(fields)} is no length`, post(fields));
cut('RFC 9112 §8', 'a body that ends early', 'POST %!last HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\nhello');
cut(
  'RFC 9112 §8',
  'chunks without the last',
  'POST %!last HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n270f\r\nhello\r\n',
);
cut('RFC 9112 §8', 'a head that ends early', 'GET %!last HTTP/1.1\r\nHost: a\r\nX: b');

// Codings: RFC 9112 §6.1.
for (const coding of [
  ...[
    '',
    ' ',
    'identity',
    'gzip',
    'gzip, chunked',
    'chunked, gzip',
    'chunked, chunked',
    'chunked, identity',
    'identity, chunked',
    ',chunked',
    'chunked,',
    ', ,chunked',
  ],
  ...[
    'xchunked',
    'chunkedx',
    'chunk',
    'chunked;',
    'chunked;a=b',
    'chunked; q=0',
    '"chunked"',
    "'chunked'",
    'chun ked',
    '[chunked]',
    '{chunked}',
    'chunked\0',
    '\0chunked',
    'chun\0ked',
    'cow chunked bar',
    '*',
    'br',
    'trailers',
    'deflate, chunked',
  ],
]) // prettier-ignore
  refused(
    'RFC 9112 §6.1',
    `Transfer-Encoding: ${say(coding)}`,
    post(`Transfer-Encoding: ${coding}\r\n`, '0\r\n\r\n'),
    [400, 501],
  );
for (const fields of [
  'Transfer-Encoding: chunked\r\nContent-Length: 5\r\n',
  'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n',
  'Content-Length: 0\r\nTransfer-Encoding: chunked\r\n',
  'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n',
  'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n',
  'Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n',
  'Transfer-Encoding: cow\r\nTransfer-Encoding: chunked\r\n',
  'Transfer-Encoding:\r\n chunked\r\n',
  'Transfer-Encoding: chunked\r\n , gzip\r\n',
])
  refused('RFC 9112 §6.1', say(fields), post(fields, '0\r\n\r\n'));
for (const fields of [
  'Transfer-Encoding: Chunked\r\n',
  'TRANSFER-ENCODING: CHUNKED\r\n',
  'transfer-encoding:chunked\r\n',
  'Transfer-Encoding: \t chunked\r\n',
])
  served('RFC 9112 §7', say(fields), post(fields, '5\r\nhello\r\n0\r\n\r\n')); // prettier-ignore
refused('RFC 9112 §6.1', 'chunks on HTTP/1.0', `POST % HTTP/1.0\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`);

// Chunks: RFC 9112 §7.1.
for (const [name, body] of [
  ['one chunk', '5\r\nhello\r\n0\r\n\r\n'],
  ['two chunks', '2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n'],
  ['none', '0\r\n\r\n'],
  ['hexadecimal in upper case', 'A\r\n0123456789\r\n0\r\n\r\n'],
  ['hexadecimal in lower case', 'a\r\n0123456789\r\n0\r\n\r\n'],
  ['leading zeros', '0005\r\nhello\r\n000\r\n\r\n'],
  ['an extension', '5;a=b\r\nhello\r\n0\r\n\r\n'],
  ['an extension without a value', '5;a\r\nhello\r\n0;b\r\n\r\n'],
  ['a quoted extension', '5;a="b;c"\r\nhello\r\n0\r\n\r\n'],
  ['a trailer', '5\r\nhello\r\n0\r\nX-Trailer: 1\r\n\r\n'],
  ['CRLFs in the data', '4\r\n\r\n\r\n\r\n0\r\n\r\n'],
] as const)
  served('RFC 9112 §7.1', `chunks: ${name}`, chunked(body));
for (const size of [
  ...[
    '+5',
    '-5',
    '0x5',
    ' 5',
    '5 ',
    '\t5',
    '5\t',
    '5,',
    '5 5',
    'g',
    '',
    '5_0',
    '5.0',
    '"5"',
    'FFFFFFFFFFFFFFFFF',
    '100000000000000005',
    '8000000000000000',
    '5\0',
    '\x0b5',
    '5\x0b',
    '٥',
  ],
]) // prettier-ignore
  refused(
    'RFC 9112 §7.1',
    `a chunk size of ${say(size)}`,
    chunked(`${Buffer.from(size).toString('latin1')}\r\nhello\r\n0\r\n\r\n`),
  );
for (const [name, body] of [
  ['data longer than its size', '4\r\nhello\r\n0\r\n\r\n'],
  ['data shorter than its size', '6\r\nhello\r\n0\r\n\r\n'],
  ['no CRLF behind the data', '5\r\nhello0\r\n\r\n'],
  ['bare LF behind the size', '5\nhello\r\n0\r\n\r\n'],
  ['bare CR behind the size', '5\rhello\r\n0\r\n\r\n'],
  ['bare LF behind the data', '5\r\nhello\n0\r\n\r\n'],
  ['bare CR behind the data', '5\r\nhello\r0\r\n\r\n'],
  ['two spaces behind the data', '5\r\nhello  0\r\n\r\n'],
  ['bare LF at the end', '5\r\nhello\r\n0\n\n'],
  ['bare LF in an extension', '5;a\nb\r\nhello\r\n0\r\n\r\n'],
  ['bare CR in an extension', '5;a\rb\r\nhello\r\n0\r\n\r\n'],
  ['NUL in an extension', '5;a\0\r\nhello\r\n0\r\n\r\n'],
  ['bare LF in a trailer', '5\r\nhello\r\n0\r\nX: 1\n\r\n'],
  ['a trailer without a colon', '5\r\nhello\r\n0\r\nX\r\n\r\n'],
  ['a folded trailer', '5\r\nhello\r\n0\r\nX: 1\r\n 2\r\n\r\n'],
  ['a space before the colon of a trailer', '5\r\nhello\r\n0\r\nX : 1\r\n\r\n'],
  ['NUL in a trailer', '5\r\nhello\r\n0\r\nX: \0\r\n\r\n'],
  ['a trailer that claims to frame', '5\r\nhello\r\n0\r\nContent-Length: 99\r\n\r\n'],
  ['an extension of 64 KB', `5;${'a'.repeat(65_536)}\r\nhello\r\n0\r\n\r\n`],
  ['trailers of 64 KB', `5\r\nhello\r\n0\r\nX: ${'1'.repeat(65_536)}\r\n\r\n`],
] as const)
  refused('RFC 9112 §7.1', `chunks: ${name}`, chunked(body), [400, 413, 431]);

// The connection, versions and expectations: RFC 9112 §9, RFC 9110 §7.8, §10.1.1.
closed('RFC 9112 §9.6', 'Connection: close', get('Connection: close\r\n'));
closed('RFC 9112 §9.6', 'Connection: x, CLOSE', get('Connection: x, CLOSE\r\n'));
closed('RFC 9112 §9.6', 'two Connection lines', get('Connection: x\r\nConnection: close\r\n'));
closed('RFC 9112 §9.3', 'HTTP/1.0', `GET % HTTP/1.0\r\n${HOST}\r\n`);
served('RFC 9112 §9.3', 'HTTP/1.0 with keep-alive', `GET % HTTP/1.0\r\n${HOST}Connection: keep-alive\r\n\r\n`);
refused('RFC 1945 §7.2.2', 'a POST of HTTP/1.0 without a length', `POST % HTTP/1.0\r\n${HOST}\r\n`);
refused('RFC 9112 §2.3', 'HTTP/0.9', 'GET %\r\n', [400, 505]);
served('RFC 9112 §9.3', 'Connection that names Host and Authorization', get('Connection: host, authorization\r\n'));
answered('RFC 9110 §7.8', 'Upgrade without Connection', get('Upgrade: websocket\r\n'));
for (const fields of [
  'Upgrade: websocket\r\nConnection: Upgrade\r\n',
  'Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n',
  'Upgrade: made-up\r\nConnection: upgrade\r\n',
])
  answered('RFC 9110 §7.8', `${say(fields)} is not taken up`, get(fields)); // prettier-ignore
refused('RFC 9110 §10.1.1', 'an unknown expectation', get('Expect: made-up\r\n'), [417]);
served(
  'RFC 9110 §10.1.1',
  '100-continue with the body behind it',
  post('Expect: 100-continue\r\nContent-Length: 5\r\n', 'hello'),
);
answered('RFC 9110 §10.1.1', '100-Continue without a body', get('Expect: 100-Continue\r\n'));

export const REQUEST_CASES: readonly RequestCase[] = cases;
