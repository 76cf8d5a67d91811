/**
 * Certificates by server name (RFC 6066 §3): its own, its wildcard's, else the first. TLS 1.2 with AEAD suites and 1.3;
 * session tickets by keys given from outside, so that all workers of an appliance resume each other's sessions.
 * Certificates come checked (`certificate-file.ts`); nothing here throws for what a client sends.
 */
import { createSecureContext, type SecureContext, type SecureContextOptions, type TlsOptions } from 'node:tls';
import type { CertificatePair } from './certificate-file.ts';

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

interface Shown {
  readonly pair: CertificatePair;
  readonly context: SecureContext;
}

export class Certificates {
  #ticketKeys: Buffer | undefined;
  /** The first is the default. */
  #shown: readonly Shown[] = [];
  #byName = new Map<string, SecureContext>();

  /** `ticketKeys`: 48 bytes shared by all workers; without, each worker makes its own. */
  constructor(pairs: readonly CertificatePair[], ticketKeys?: Buffer) {
    this.#ticketKeys = checkedKeys(ticketKeys);
    this.replace(pairs);
  }

  /** Shows these from the next handshake on; a server's default is told by `Listener.renewTls`. */
  replace(pairs: readonly CertificatePair[]): void {
    if (pairs.length === 0) throw new Error('at least one certificate is needed');
    const before = new Map(this.#shown.map((one) => [identity(one.pair), one]));
    const shown = pairs.map((pair) => {
      const same = before.get(identity(pair));
      return { pair, context: same?.context ?? createSecureContext({ ...SETTINGS, ...pem(pair) }) };
    });
    const byName = new Map<string, SecureContext>();
    for (const { pair, context } of shown)
      for (const name of pair.names) if (!byName.has(name)) byName.set(name, context);
    this.#shown = shown;
    this.#byName = byName;
  }

  /**
   * Replaces the session ticket keys. Node takes one key of 48 bytes and no former one: a ticket of the old key is not
   * understood any more, and its client goes through a full handshake, once.
   */
  rotateTicketKeys(keys: Buffer): void {
    this.#ticketKeys = checkedKeys(keys);
  }

  get ticketKeys(): Buffer | undefined {
    return this.#ticketKeys;
  }

  /** The context for a server name: its own, its wildcard's, else the first. */
  context(serverName: string): SecureContext | undefined {
    const name = serverName.toLowerCase();
    const exact = this.#byName.get(name);
    if (exact !== undefined) return exact;
    const dot = name.indexOf('.');
    const wildcard = dot < 0 ? undefined : this.#byName.get(`*${name.slice(dot)}`);
    return wildcard ?? this.#shown[0]?.context;
  }

  /** Options of a TLS server that asks here for every handshake. */
  serverOptions(handshakeMillis: number): TlsOptions {
    const options: TlsOptions = {
      ...this.defaultOptions(),
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
    // OpenSSL takes the keys of the server's own context for all names: SNI changes the certificate alone.
    if (this.#ticketKeys !== undefined) options.ticketKeys = this.#ticketKeys;
    return options;
  }

  /** What `setSecureContext` needs: the default certificate, for clients that send no server name. */
  defaultOptions(): SecureContextOptions {
    return { ...SETTINGS, ...pem(this.#shown[0]!.pair), honorCipherOrder: true };
  }
}

function pem({ certificate, key }: CertificatePair): { cert: string; key: string } {
  return { cert: certificate, key };
}

function identity({ certificate, key }: CertificatePair): string {
  return `${certificate}\n${key}`;
}

function checkedKeys(keys: Buffer | undefined): Buffer | undefined {
  if (keys !== undefined && keys.length !== TICKET_KEY_BYTES)
    throw new Error(`session ticket keys are ${TICKET_KEY_BYTES} bytes, not ${keys.length}`);
  return keys;
}
