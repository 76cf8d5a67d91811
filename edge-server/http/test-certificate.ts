/** For tests: self-signed certificates made by `openssl` in a temporary folder. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CertificateFiles, type CertificatePair, readCertificate } from './certificate-file.ts';

export interface CertificateFolder {
  /** Makes (or replaces) the certificate called `name`, good for these DNS names. */
  make(name: string, dnsNames: readonly string[]): CertificateFiles;
  /** Where `make` puts its `crt` or `key`. */
  path(name: string, kind: string): string;
  remove(): void;
}

export function certificateFolder(): CertificateFolder {
  const folder = mkdtempSync(join(tmpdir(), 'nearcast-tls-'));
  return {
    make(name, dnsNames) {
      const files = { certificate: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) };
      const alternatives = dnsNames.map((dns) => `DNS:${dns}`).join(',');
      execFileSync(
        'openssl',
        // biome-ignore format: one option a word
        ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', `/CN=${dnsNames[0]}`,
         '-addext', `subjectAltName=${alternatives}`, '-keyout', files.key, '-out', files.certificate],
        { stdio: 'ignore' },
      );
      return files;
    },
    path: (name, kind) => join(folder, `${name}.${kind}`),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Reads what must be good. */
export async function pairsOf(...files: readonly CertificateFiles[]): Promise<CertificatePair[]> {
  return Promise.all(
    files.map(async (one) => {
      const outcome = await readCertificate(one, Date.now());
      if (!outcome.ok) throw new Error(`${outcome.reason}: ${outcome.detail}`);
      return outcome.value;
    }),
  );
}
