/**
 * What went wrong at S3, from the SDK's errors: a closed set of reasons, each with the status that a client gets. S3's
 * own words (bucket, key id, request id) stay here. Pure.
 */
import { EXIT, Fault } from '../runtime/errors.ts';

export type S3FailureReason =
  | 'not-found'
  | 'not-modified'
  | 'precondition-failed'
  | 'unsatisfiable'
  | 's3-denied'
  | 's3-no-credentials'
  | 's3-credentials'
  | 's3-no-bucket'
  | 's3-busy'
  | 's3-timeout'
  | 's3-unreachable'
  | 's3-failed';

interface SdkError {
  name?: string;
  code?: string;
  message?: string;
  $metadata?: { httpStatusCode?: number };
  errors?: readonly SdkError[];
}

const CREDENTIAL_ERRORS = new Set([
  'InvalidAccessKeyId',
  'SignatureDoesNotMatch',
  'ExpiredToken',
  'InvalidToken',
  'RequestTimeTooSkewed',
  'AuthorizationHeaderMalformed',
]);
const CONNECTION_ERRORS = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EPIPE',
]);

/** Classifies an error that the S3 client threw. */
export function s3FailureReason(error: unknown): S3FailureReason {
  const { name = '', code = '', $metadata, errors } = error as SdkError;
  const status = $metadata?.httpStatusCode;
  if (name === 'CredentialsProviderError') return 's3-no-credentials';
  if (name === 'NoSuchBucket') return 's3-no-bucket';
  if (CREDENTIAL_ERRORS.has(name)) return 's3-credentials';
  if (name === 'SlowDown' || status === 503 || status === 429) return 's3-busy';
  if (status === 304) return 'not-modified';
  if (status === 412) return 'precondition-failed';
  if (status === 416) return 'unsatisfiable';
  if (status === 404) return 'not-found';
  if (status === 401 || status === 403) return 's3-denied';
  if (name === 'TimeoutError' || name === 'AbortError' || code === 'ETIMEDOUT') return 's3-timeout';
  if (CONNECTION_ERRORS.has(code) || errors?.some((one) => CONNECTION_ERRORS.has(one.code ?? '')))
    return 's3-unreachable';
  return 's3-failed';
}

export interface FailureAnswer {
  readonly status: number;
  readonly text: string;
  /** Seconds after which a retry may help. */
  readonly retryAfterSeconds?: number;
}

/** What a client is told; never S3's own text. 304 and 416 carry more than this and are made by the gateway. */
export const FAILURE_ANSWERS: Readonly<
  Record<Exclude<S3FailureReason, 'not-modified' | 'unsatisfiable'>, FailureAnswer>
> = {
  'not-found': { status: 404, text: 'not found' },
  'precondition-failed': { status: 412, text: 'precondition failed' },
  's3-denied': { status: 403, text: 'not allowed' },
  's3-no-credentials': { status: 502, text: 'the origin cannot read its storage', retryAfterSeconds: 30 },
  's3-credentials': { status: 502, text: 'the origin cannot read its storage', retryAfterSeconds: 30 },
  's3-no-bucket': { status: 502, text: 'the origin cannot read its storage', retryAfterSeconds: 30 },
  's3-busy': { status: 503, text: 'the storage is busy', retryAfterSeconds: 1 },
  's3-timeout': { status: 504, text: 'the storage did not answer in time', retryAfterSeconds: 5 },
  's3-unreachable': { status: 503, text: 'the storage is not reachable', retryAfterSeconds: 5 },
  's3-failed': { status: 502, text: 'the storage failed', retryAfterSeconds: 5 },
};

/** The fault of a first look at the bucket that failed, with the fix. */
export function startFault(error: unknown, endpoint: string, bucket: string): Fault {
  const reason = s3FailureReason(error);
  const make = (code: string, message: string, fix: string, exit: number) =>
    new Fault(code, message, { source: 'origin', fix, exit, retry: exit === EXIT.tryAgain, cause: error });
  switch (reason) {
    case 's3-no-bucket':
    case 'not-found':
      return make(
        's3-no-bucket',
        `${endpoint} has no bucket '${bucket}'`,
        'make it or name another with --s3-bucket',
        EXIT.notFound,
      );
    case 's3-no-credentials':
      return make(
        's3-no-credentials',
        'no credentials for S3 were given',
        'give --s3-access-key-file and --s3-secret-key-file, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY',
        EXIT.usage,
      );
    case 's3-credentials':
    case 's3-denied':
      return make(
        's3-credentials',
        `${endpoint} refuses these credentials for bucket '${bucket}' (${(error as SdkError).name})`,
        'correct --s3-access-key-file, --s3-secret-key-file and --s3-region, and allow s3:ListBucket and s3:GetObject',
        EXIT.failed,
      );
    case 's3-unreachable':
    case 's3-timeout':
    case 's3-busy':
      return make(
        's3-unreachable',
        `${endpoint} does not answer (${(error as SdkError).code ?? (error as SdkError).name})`,
        'start the S3 service or correct --s3-endpoint',
        EXIT.tryAgain,
      );
    default:
      return make(
        's3-failed',
        `${endpoint}: ${(error as SdkError).name ?? 'error'}: ${firstLine((error as SdkError).message)}`,
        'check that --s3-endpoint names an S3 service',
        EXIT.failed,
      );
  }
}

function firstLine(text: string | undefined): string {
  return (text ?? '').split('\n', 1)[0]!.slice(0, 200);
}
