/**
 * What an HTTP/1.1 server is sent and must answer, in the manner of Http11Probe and the HTTP garden: the rows of both tables.
 */
import { cases, type RequestCase } from './request-case.ts';
import './request-head-cases.ts';
import './request-body-cases.ts';

export type { RequestCase } from './request-case.ts';
export const REQUEST_CASES: readonly RequestCase[] = cases;
