/** The web console's files, read once at start, and what the page needs to know of this control plane. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { CatalogueReader } from './catalogue.ts';
import type { Route } from './http-routes.ts';

const OWN = [
  ['/', 'index.html', 'text/html; charset=utf-8'],
  ['/console/console.css', 'console.css', 'text/css; charset=utf-8'],
  ['/console/console.js', 'console.js', 'text/javascript; charset=utf-8'],
  ['/console/player.js', 'player.js', 'text/javascript; charset=utf-8'],
  ['/favicon.ico', 'icon.svg', 'image/svg+xml'],
] as const;

/** Scripts of ours alone; media from wherever steering sends the player. */
const POLICY =
  "default-src 'self'; connect-src *; media-src * blob:; worker-src 'self' blob:; img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'";

export interface ConsoleParts {
  readonly catalogue: CatalogueReader;
  readonly steeringUrl: () => string;
  readonly standby: { readonly id: string; readonly url: string };
  readonly service: string;
}

/** Routes of the page. Throws when a file of ours is missing: the installation is broken. */
export async function consoleRoutes(parts: ConsoleParts): Promise<Route[]> {
  const pages = await Promise.all(
    OWN.map(async ([path, file, type]) =>
      page(path, await readFile(new URL(`./console/${file}`, import.meta.url)), type),
    ),
  );
  const library = fileURLToPath(new URL('./hls.min.mjs', import.meta.resolve('hls.js')));
  return [
    ...pages,
    page('/console/hls.js', await readFile(library), 'text/javascript; charset=utf-8'),
    {
      method: 'GET',
      path: '/v1/console',
      access: 'read',
      handle: () => ({
        status: 200,
        body: {
          steering: parts.steeringUrl(),
          standby: parts.standby,
          service: parts.service,
          films: parts.catalogue.films(),
        },
      }),
    },
  ];
}

function page(path: string, body: Buffer, type: string): Route {
  const fields = {
    'content-type': type,
    'cache-control': 'no-cache',
    'content-security-policy': POLICY,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
  };
  return { method: 'GET', path, access: 'read', handle: () => ({ status: 200, body, fields }) };
}
