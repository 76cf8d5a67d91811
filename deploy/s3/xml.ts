/** The XML that S3 answers: errors and listings. */
import type { ObjectRecord } from './bucket.ts';

export const ERRORS = {
  AccessDenied: { status: 403, message: 'Access Denied' },
  BadDigest: { status: 400, message: 'The checksum you specified did not match what we received.' },
  IncompleteBody: { status: 400, message: 'You did not provide the number of bytes specified by Content-Length.' },
  InternalError: { status: 500, message: 'We encountered an internal error. Please try again.' },
  InvalidAccessKeyId: { status: 403, message: 'The access key Id you provided does not exist in our records.' },
  InvalidArgument: { status: 400, message: 'Invalid Argument' },
  InvalidRange: { status: 416, message: 'The requested range is not satisfiable' },
  InvalidURI: { status: 400, message: "Couldn't parse the specified URI." },
  KeyTooLongError: { status: 400, message: 'Your key is too long' },
  MethodNotAllowed: { status: 405, message: 'The specified method is not allowed against this resource.' },
  MissingContentLength: { status: 411, message: 'You must provide the Content-Length HTTP header.' },
  NoSuchBucket: { status: 404, message: 'The specified bucket does not exist' },
  NoSuchKey: { status: 404, message: 'The specified key does not exist.' },
  NotImplemented: { status: 501, message: 'A header or query you provided implies functionality that is not there.' },
  PreconditionFailed: { status: 412, message: 'At least one of the preconditions you specified did not hold.' },
  RequestTimeTooSkewed: {
    status: 403,
    message: 'The difference between the request time and the server is too large.',
  },
  SignatureDoesNotMatch: { status: 403, message: 'The request signature we calculated does not match yours.' },
} as const;

export type S3ErrorCode = keyof typeof ERRORS;

export function errorXml(code: S3ErrorCode): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${escaped(ERRORS[code].message)}</Message></Error>`;
}

export interface Listing {
  bucket: string;
  prefix: string;
  most: number;
  records: readonly ObjectRecord[];
  /** `encoding-type=url`: keys are percent-encoded. */
  encode: boolean;
  next: string | undefined;
}

export function listXml(listing: Listing): string {
  const text = (key: string) => escaped(listing.encode ? encodeURIComponent(key).replaceAll('%20', '+') : key);
  const contents = listing.records.map(
    (record) =>
      `<Contents><Key>${text(record.key)}</Key><LastModified>${new Date(record.lastModifiedMillis).toISOString()}</LastModified>` +
      `<ETag>${escaped(record.etag)}</ETag><Size>${record.bytes}</Size><StorageClass>STANDARD</StorageClass></Contents>`,
  );
  return [
    '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">',
    `<Name>${escaped(listing.bucket)}</Name><Prefix>${text(listing.prefix)}</Prefix><KeyCount>${listing.records.length}</KeyCount>`,
    `<MaxKeys>${listing.most}</MaxKeys><IsTruncated>${listing.next !== undefined}</IsTruncated>`,
    listing.encode ? '<EncodingType>url</EncodingType>' : '',
    listing.next === undefined ? '' : `<NextContinuationToken>${listing.next}</NextContinuationToken>`,
    ...contents,
    '</ListBucketResult>',
  ].join('');
}

function escaped(text: string): string {
  return text.replace(/[<>&"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
