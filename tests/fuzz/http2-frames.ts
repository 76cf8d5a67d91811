/** HTTP/2 at the level of frames (RFC 9113 §4): hostile sequences to send, and a strict look at what comes back. */
import type { Random } from './random.ts';

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
/** Longest payload that we allow the server: we never raise SETTINGS_MAX_FRAME_SIZE. */
const LONGEST_PAYLOAD = 16_384;
const TYPES = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  push: 5,
  ping: 6,
  goaway: 7,
  window: 8,
  continuation: 9,
};

/** `requests` header frames among others that are broken. */
export function hostileFrames(random: Random, requests: number): Buffer {
  const frames: Buffer[] = [PREFACE, frame(TYPES.settings, 0, 0, Buffer.alloc(0))];
  let stream = 1;
  for (let n = 0; n < requests; n++) {
    frames.push(frame(TYPES.headers, 0x5, stream, requestBlock(random)));
    stream += 2;
    if (random.chance(0.15)) frames.push(oddFrame(random, stream));
  }
  // The last word: a client that leaves properly is answered in full first.
  frames.push(random.chance(0.5) ? frame(TYPES.goaway, 0, 0, Buffer.alloc(8)) : oddFrame(random, stream));
  let all = Buffer.concat(frames);
  if (random.chance(0.4)) {
    const at = random.between(PREFACE.length, all.length - 1);
    all = Buffer.from(all);
    all[at] = random.below(256);
  }
  return all;
}

/** What is not a well-formed frame that a server may send; `undefined` when all is well. */
export function frameComplaint(bytes: Buffer): string | undefined {
  let at = 0;
  let first = true;
  while (at + 9 <= bytes.length) {
    const length = bytes.readUIntBE(at, 3);
    const type = bytes[at + 3]!;
    if (first && type !== TYPES.settings) return `begins with a frame of type ${type}`;
    first = false;
    if (length > LONGEST_PAYLOAD) return `a frame of ${length} bytes`;
    if (type > 9 && type !== 10 && type !== 12) return `a frame of type ${type}`;
    if (type === TYPES.push) return 'a push';
    const stream = bytes.readUInt32BE(at + 5) & 0x7fff_ffff;
    const ofConnection = type === TYPES.settings || type === TYPES.ping || type === TYPES.goaway;
    if (ofConnection && stream !== 0) return `type ${type} on stream ${stream}`;
    if ((type === TYPES.data || type === TYPES.headers) && (stream === 0 || stream % 2 === 0))
      return `stream ${stream}`;
    at += 9 + length;
  }
  return undefined;
}

function oddFrame(random: Random, stream: number): Buffer {
  const payload = Buffer.from(random.bytes(random.below(60)), 'latin1');
  switch (random.below(9)) {
    case 0:
      return frame(random.below(256), random.below(256), random.below(stream + 4), payload);
    case 1:
      return frame(TYPES.settings, 0, 0, Buffer.from([0, random.below(9), 0, 0, random.below(256), random.below(256)]));
    case 2:
      return frame(TYPES.ping, 0, 0, Buffer.alloc(8, 1));
    case 3:
      return frame(TYPES.reset, 0, Math.max(1, stream - 2), Buffer.from([0, 0, 0, 8]));
    case 4:
      return frame(TYPES.window, 0, random.pick([0, 1, stream - 2]), Buffer.from([0, 0, 0, random.pick([0, 1, 255])]));
    case 5:
      return frame(TYPES.continuation, random.pick([0, 4]), Math.max(1, stream - 2), payload);
    case 6:
      return frame(TYPES.headers, random.pick([0, 1, 4, 5, 0x2d]), stream, payload);
    case 7:
      return frame(TYPES.data, random.pick([0, 1, 8]), random.pick([0, 1, stream - 2]), payload);
    default:
      return frame(TYPES.push, 4, 1, payload);
  }
}

function requestBlock(random: Random): Buffer {
  const fields: [string, string][] = [
    [':method', random.pick(['GET', 'GET', 'HEAD', 'POST', 'CONNECT', 'get', ''])],
    [':scheme', random.pick(['https', 'https', 'http', 'ftp'])],
    [':authority', random.pick(['fuzz.example.org', 'fuzz.example.org', 'a@b', ''])],
    [
      ':path',
      random.pick([`/t/${random.below(100)}`, `/t/${random.below(100)}`, '/t/1 x', '/t/1\r\nx: y', '', '*', '/t/\0']),
    ],
  ];
  if (random.chance(0.3))
    fields.push(
      random.pick([
        ['transfer-encoding', 'chunked'],
        ['content-length', '5'],
        ['connection', 'close'],
        ['Upper', 'x'],
        ['', 'x'],
        ['range', 'bytes=0-5'],
        ['host', 'other.example.org'],
        [':path', '/t/2'],
        ['x', 'a\r\nb: c'],
      ] as [string, string][]),
    ); // prettier-ignore
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.from([0]), literal(name), literal(value)]));
}

function literal(text: string): Buffer {
  return Buffer.concat([Buffer.from([text.length]), Buffer.from(text, 'latin1')]);
}

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A sound request for `path` whose flow-control windows let the server send as much as it wants. */
export function greedyRequest(authority: string, path: string): Buffer {
  const most = Buffer.from([0x7f, 0xff, 0xff, 0xff]);
  const fields: [string, string][] = [
    [':method', 'GET'],
    [':scheme', 'https'],
    [':authority', authority],
    [':path', path],
  ];
  const block = Buffer.concat(fields.flatMap(([name, value]) => [Buffer.from([0]), literal(name), literal(value)]));
  return Buffer.concat([
    PREFACE,
    frame(TYPES.settings, 0, 0, Buffer.concat([Buffer.from([0, 4]), most])),
    frame(TYPES.window, 0, 0, Buffer.from([0x7f, 0xfe, 0xff, 0xff])),
    frame(TYPES.headers, 0x5, 1, block),
  ]);
}
