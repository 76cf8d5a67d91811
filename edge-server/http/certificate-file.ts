/**
 * One certificate and its key from their files, checked: readable, a certificate, the key is its own, not expired.
 * Keeps nothing; who asks keeps the last good one.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Outcome } from '../../runtime/outcome.ts';

/** Files of one certificate (with its chain) and its key, both PEM. */
export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
  /** Names for which it is shown; by default those that it holds. */
  readonly hosts?: readonly string[] | undefined;
}

/** What a TLS server needs of them; also as JSON between the processes of one server. */
export interface CertificatePair {
  /** PEM, with the chain. */
  readonly certificate: string;
  /** PEM. */
  readonly key: string;
  /** Lower case; `*.` stands for one label. */
  readonly names: readonly string[];
  readonly expiresMillis: number;
}

export type CertificateProblem = 'unreadable' | 'not-a-certificate' | 'key-does-not-fit' | 'expired';

/** Reads and checks. The detail of a refusal names the file. */
export async function readCertificate(
  files: CertificateFiles,
  nowMillis: number,
): Promise<Outcome<CertificatePair, CertificateProblem>> {
  const refused = (reason: CertificateProblem, file: string, error?: unknown): Outcome<never, CertificateProblem> => ({
    ok: false,
    reason,
    detail: `${file}${error === undefined ? '' : `: ${error instanceof Error ? error.message : String(error)}`}`,
  });
  let texts: [string, string];
  try {
    texts = await Promise.all([readFile(files.certificate, 'utf8'), readFile(files.key, 'utf8')]);
  } catch (error) {
    return refused('unreadable', files.certificate, error);
  }
  const [certificate, key] = texts;
  let leaf: X509Certificate;
  try {
    leaf = new X509Certificate(certificate);
  } catch (error) {
    return refused('not-a-certificate', files.certificate, error);
  }
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey(key);
  } catch (error) {
    return refused('key-does-not-fit', files.key, error);
  }
  if (!leaf.checkPrivateKey(privateKey)) return refused('key-does-not-fit', files.key);
  const expiresMillis = Date.parse(leaf.validTo);
  if (!(expiresMillis > nowMillis)) return refused('expired', files.certificate);
  const names = files.hosts?.map((host) => host.toLowerCase()) ?? namesOf(leaf);
  return { ok: true, value: { certificate, key, names, expiresMillis } };
}

/** DNS names of the subject alternative names, else the common name, in lower case. */
function namesOf(leaf: X509Certificate): string[] {
  const alternatives = (leaf.subjectAltName ?? '')
    .split(', ')
    .filter((one) => one.startsWith('DNS:'))
    .map((one) => one.slice(4).toLowerCase());
  if (alternatives.length > 0) return alternatives;
  const common = leaf.subject.split('\n').find((line) => line.startsWith('CN='));
  return common === undefined ? [] : [common.slice(3).toLowerCase()];
}
