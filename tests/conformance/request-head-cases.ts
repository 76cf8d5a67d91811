/** Request line, target, Host and field lines: what is sent and what must come of it (RFC 9112 §2-5). */
import { get, HOST, post, refused, row, say, served } from './request-case.ts';

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
