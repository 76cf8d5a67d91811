/** Lengths, codings, chunks, connection and expectations: what is sent and what must come of it (RFC 9112 §6-9). */
import { answered, chunked, closed, cut, get, HOST, post, refused, say, served } from './request-case.ts';

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
