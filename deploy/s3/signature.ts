/**
 * AWS Signature Version 4 of a request, checked over the exact bytes of path and query that came (S3 never normalises
 * them). Pure: the time is an argument. Presigned URLs and chunk signatures are left out; the SDK's header form is what
 * the gateway and the uploader use.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

/** S3 refuses a request whose date is further away than this. */
const SKEW_MILLIS = 15 * 60 * 1000;

export interface SignedRequest {
  readonly method: string;
  /** Path and query exactly as on the request line. */
  readonly target: string;
  readonly fields: Readonly<Record<string, string | string[] | undefined>>;
}

export interface Credentials {
  readonly accessKey: string;
  readonly secretKey: string;
}

export type SignatureVerdict =
  | { ok: true; payloadHash: string }
  | {
      ok: false;
      reason: 'AccessDenied' | 'InvalidAccessKeyId' | 'SignatureDoesNotMatch' | 'RequestTimeTooSkewed';
    };

/** Whether the request carries a valid signature of these credentials. */
export function signatureVerdict(
  request: SignedRequest,
  credentials: Credentials,
  nowMillis: number,
): SignatureVerdict {
  const authorization = parseAuthorization(one(request.fields.authorization));
  const date = one(request.fields['x-amz-date']);
  const payloadHash = one(request.fields['x-amz-content-sha256']);
  if (authorization === undefined || date === undefined || payloadHash === undefined || !signsHost(authorization))
    return { ok: false, reason: 'AccessDenied' };
  if (authorization.accessKey !== credentials.accessKey) return { ok: false, reason: 'InvalidAccessKeyId' };
  const signedAt = parseAmzDate(date);
  if (signedAt === undefined || Math.abs(nowMillis - signedAt) > SKEW_MILLIS)
    return { ok: false, reason: 'RequestTimeTooSkewed' };
  const expected = Buffer.from(sign(request, authorization, date, payloadHash, credentials.secretKey), 'hex');
  const given = Buffer.from(authorization.signature, 'hex');
  if (expected.length !== given.length || !timingSafeEqual(expected, given))
    return { ok: false, reason: 'SignatureDoesNotMatch' };
  return { ok: true, payloadHash };
}

interface Authorization {
  accessKey: string;
  /** `date/region/service/aws4_request`. */
  scope: readonly string[];
  signedFields: readonly string[];
  signature: string;
}

function parseAuthorization(text: string | undefined): Authorization | undefined {
  const match =
    /^AWS4-HMAC-SHA256 Credential=([^,/]+)\/(\d{8}\/[^,/]+\/s3\/aws4_request), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/.exec(
      text ?? '',
    );
  if (match === null) return undefined;
  return {
    accessKey: match[1]!,
    scope: match[2]!.split('/'),
    signedFields: match[3]!.split(';'),
    signature: match[4]!,
  };
}

function signsHost(authorization: Authorization): boolean {
  return authorization.signedFields.includes('host');
}

function sign(
  request: SignedRequest,
  authorization: Authorization,
  date: string,
  payloadHash: string,
  secretKey: string,
): string {
  const question = request.target.indexOf('?');
  const path = question < 0 ? request.target : request.target.slice(0, question);
  const query = question < 0 ? '' : request.target.slice(question + 1);
  const canonical = [
    request.method,
    path,
    canonicalQuery(query),
    ...authorization.signedFields.map((name) => `${name}:${collapsed(request.fields[name])}`),
    '',
    authorization.signedFields.join(';'),
    payloadHash,
  ].join('\n');
  const toSign = ['AWS4-HMAC-SHA256', date, authorization.scope.join('/'), sha256(canonical)].join('\n');
  let key: Buffer | string = `AWS4${secretKey}`;
  for (const part of authorization.scope) key = createHmac('sha256', key).update(part).digest();
  return createHmac('sha256', key).update(toSign).digest('hex');
}

function canonicalQuery(query: string): string {
  if (query === '') return '';
  return query
    .split('&')
    .map((pair) => (pair.includes('=') ? pair : `${pair}=`))
    .sort()
    .join('&');
}

function collapsed(value: string | string[] | undefined): string {
  const text = Array.isArray(value) ? value.join(',') : (value ?? '');
  return text.trim().replace(/ +/g, ' ');
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function one(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}

/** `20261125T123000Z` → milliseconds. */
function parseAmzDate(text: string): number | undefined {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (match === null) return undefined;
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number);
  return Date.UTC(year!, month! - 1, day!, hour!, minute!, second!);
}
