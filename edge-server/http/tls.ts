/**
 * Certificates by server name (RFC 6066 §3), reloaded from their files while serving: a bad new file is reported and
 * the old certificate stays in service. TLS 1.2 with AEAD suites and 1.3; session tickets by keys given from outside,
 * so that all workers of an appliance resume each other's sessions. Nothing here throws once it is loaded.
 */
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext, type SecureContext, type SecureContextOptions, type TlsOptions } from 'node:tls';
import type { Outcome } from '../../runtime/outcome.ts';

/** Files of one certificate (with its chain) and its key, both PEM. */
export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
}

const AEAD_SUITES = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

const SETTINGS = {
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.3',
  ciphers: AEAD_SUITES,
  sessionIdContext: 'nearcast',
} as const;
const TICKET_KEY_BYTES = 48;

interface Loaded {
  readonly context: SecureContext;
  readonly options: SecureContextOptions;
  readonly names: readonly string[];
}

export type CertificateProblem = 'unreadable' | 'not-a-certificate' | 'key-does-not-fit' | 'expired';

export class Certificates {
  readonly #files: readonly CertificateFiles[];
  #ticketKeys: Buffer | undefined;
  /** By place in `#files`; the first is the default. */
  #loaded: (Loaded | undefined)[] = [];
  #byName = new Map<string, SecureContext>();

  /** `ticketKeys`: 48 bytes shared by all workers; without, each worker makes its own. */
  constructor(files: readonly CertificateFiles[], ticketKeys?: Buffer) {
    if (files.length === 0) throw new Error('at least one certificate is needed');
    this.#files = files;
    this.#ticketKeys = checkedKeys(ticketKeys);
  }

  /** Loads or reloads every file. Each one that fails keeps its old certificate; the outcomes say what failed and why. */
  async reload(nowMillis: number): Promise<Outcome<string, CertificateProblem>[]> {
    const outcomes: Outcome<string, CertificateProblem>[] = [];
    const loaded: (Loaded | undefined)[] = [];
    for (const [place, files] of this.#files.entries()) {
      const fresh = await load(files, nowMillis, this.#ticketKeys);
      outcomes.push(fresh.ok ? { ok: true, value: files.certificate } : fresh);
      loaded.push(fresh.ok ? fresh.value : this.#loaded[place]);
    }
    const byName = new Map<string, SecureContext>();
    for (const one of loaded)
      if (one !== undefined) for (const name of one.names) if (!byName.has(name)) byName.set(name, one.context);
    this.#loaded = loaded;
    this.#byName = byName;
    return outcomes;
  }

  /** Replaces the session ticket keys; the next `reload` puts them into the certificates' contexts. */
  rotateTicketKeys(keys: Buffer): void {
    this.#ticketKeys = checkedKeys(keys);
  }

  get ticketKeys(): Buffer | undefined {
    return this.#ticketKeys;
  }

  /** The context for a server name: its own, its wildcard's, else the first loaded one. */
  context(serverName: string): SecureContext | undefined {
    const name = serverName.toLowerCase();
    const exact = this.#byName.get(name);
    if (exact !== undefined) return exact;
    const dot = name.indexOf('.');
    const wildcard = dot < 0 ? undefined : this.#byName.get(`*${name.slice(dot)}`);
    return wildcard ?? this.#loaded.find((one) => one !== undefined)?.context;
  }

  /** Options of a TLS server that asks here for every handshake. */
  serverOptions(handshakeMillis: number): TlsOptions {
    const options: TlsOptions = {
      ...SETTINGS,
      honorCipherOrder: true,
      ALPNProtocols: ['h2', 'http/1.1'],
      handshakeTimeout: handshakeMillis,
      SNICallback: (name, done) => {
        // An error given here fails the handshake; one thrown here would end the process.
        try {
          done(null, this.context(name));
        } catch (error) {
          done(error instanceof Error ? error : new Error(String(error)));
        }
      },
    };
    if (this.#ticketKeys !== undefined) options.ticketKeys = this.#ticketKeys;
    return options;
  }

  /** What `setSecureContext` needs: the default certificate, for clients that send no server name. */
  defaultOptions(): SecureContextOptions | undefined {
    const first = this.#loaded.find((one) => one !== undefined);
    if (first === undefined) return undefined;
    return { ...first.options, honorCipherOrder: true };
  }
}

async function load(
  files: CertificateFiles,
  nowMillis: number,
  ticketKeys: Buffer | undefined,
): Promise<Outcome<Loaded, CertificateProblem>> {
  const refused = (reason: CertificateProblem, error?: unknown): Outcome<Loaded, CertificateProblem> => ({
    ok: false,
    reason,
    detail: `${files.certificate}${error === undefined ? '' : `: ${error instanceof Error ? error.message : String(error)}`}`,
  });
  let cert: Buffer;
  let key: Buffer;
  try {
    [cert, key] = await Promise.all([readFile(files.certificate), readFile(files.key)]);
  } catch (error) {
    return refused('unreadable', error);
  }
  let leaf: X509Certificate;
  try {
    leaf = new X509Certificate(cert);
  } catch (error) {
    return refused('not-a-certificate', error);
  }
  if (Date.parse(leaf.validTo) < nowMillis) return refused('expired');
  try {
    const options = { ...SETTINGS, cert, key, ...(ticketKeys === undefined ? {} : { ticketKeys }) };
    return { ok: true, value: { context: createSecureContext(options), options, names: namesOf(leaf) } };
  } catch (error) {
    return refused('key-does-not-fit', error);
  }
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

function checkedKeys(keys: Buffer | undefined): Buffer | undefined {
  if (keys !== undefined && keys.length !== TICKET_KEY_BYTES)
    throw new Error(`session ticket keys are ${TICKET_KEY_BYTES} bytes, not ${keys.length}`);
  return keys;
}
