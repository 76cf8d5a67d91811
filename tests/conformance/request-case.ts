/**
 * How a row of the request tables is written: what is sent, the section that decides, and what must come of it. Where the
 * RFC leaves a choice, the strict one is ours.
 */

/**
 * `served`: answered with this status, and the request behind it is read from the right byte. `closed`: answered with
 * this status, the last answer of its connection. `answered`: either of these. `refused`: 4xx or 5xx of the list, closed, the request behind it never
 * executed, and the origin not asked. `cut`: never ended, so never executed.
 */
export type Expected =
  | { readonly kind: 'served' | 'closed' | 'answered'; readonly status: number }
  | { readonly kind: 'refused'; readonly statuses: readonly number[] }
  | { readonly kind: 'cut' };

export interface RequestCase {
  readonly section: string;
  readonly name: string;
  /** `%` stands for the case's own path. */
  readonly text: string;
  readonly expected: Expected;
}

/** Rows are added where the tables stand. */
export const cases: RequestCase[] = [];
export const HOST = 'Host: conformance.example.org\r\n';
export const say = (text: string) => JSON.stringify(text.length > 70 ? `${text.slice(0, 50)}… (${text.length})` : text);

export function row(section: string, name: string, text: string, expected: Expected): void {
  cases.push({ section, name, text, expected });
}
/** With 400, or what a parser that stops at another place may say instead. */
export const refused = (section: string, name: string, text: string, statuses = [400]) =>
  row(section, name, text, { kind: 'refused', statuses });
export const served = (section: string, name: string, text: string, status = 200) =>
  row(section, name, text, { kind: 'served', status });
export const closed = (section: string, name: string, text: string, status = 200) =>
  row(section, name, text, { kind: 'closed', status });
export const answered = (section: string, name: string, text: string, status = 200) =>
  row(section, name, text, { kind: 'answered', status });
export const cut = (section: string, name: string, text: string) => row(section, name, text, { kind: 'cut' });

export const get = (fields: string, host = HOST) => `GET % HTTP/1.1\r\n${host}${fields}\r\n`;
export const post = (fields: string, body = '', host = HOST) => `POST % HTTP/1.1\r\n${host}${fields}\r\n${body}`;
export const chunked = (body: string) => post('Transfer-Encoding: chunked\r\n', body);
