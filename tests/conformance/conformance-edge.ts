/** The bench of these tests: a raw origin that records what it is asked, and an edge over it on plain TCP and TLS. */
import { afterAll, beforeAll } from 'vitest';
import { type CertificateFolder, certificateFolder } from '../../edge-server/http/test-certificate.ts';
import { Edge } from '../edge/edge.ts';
import type { Via } from '../fuzz/conversation.ts';
import { HostileOrigin } from '../fuzz/hostile-origin.ts';

export const HOST = 'conformance.example.org';

export interface ConformanceBench {
  readonly edge: Edge;
  readonly origin: HostileOrigin;
  /** `METHOD target` of everything that the origin was asked. */
  readonly asked: readonly string[];
  via(name: 'plain' | 'tls'): Via;
}

/** For use at the top of a file. `more` are further options of `nearcast edge`. */
export function conformanceBench(more: readonly string[] = []): ConformanceBench {
  const asked: string[] = [];
  const origin = new HostileOrigin((method, target) => asked.push(`${method} ${target}`) > 0);
  let certificates: CertificateFolder | undefined;
  let edge: Edge | undefined;
  beforeAll(async () => {
    certificates = certificateFolder();
    const files = certificates.make('edge', [HOST, 'fuzz.example.org']);
    edge = await Edge.start({
      upstreams: [await origin.start()],
      disk: false,
      profile: 'rfc',
      more: [
        ...['--listen-tls', '127.0.0.1:0', '--tls-cert', files.certificate, '--tls-key', files.key],
        ...['--requests-per-connection', '0', ...more],
      ],
    });
  });
  afterAll(async () => {
    await edge?.stop();
    await origin.stop();
    certificates?.remove();
  });
  const started = () => {
    if (edge === undefined) throw new Error('the edge has not started');
    return edge;
  };
  return {
    get edge() {
      return started();
    },
    origin,
    asked,
    via: (name) =>
      name === 'tls'
        ? { port: started().tlsPort, protocol: 'http/1.1' }
        : { port: started().port, protocol: undefined },
  };
}
