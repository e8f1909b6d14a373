/** Why a manager did not answer, in words for its operator. */
import { Code, RpcError } from '../rpc/errors.ts';

/** What the operating system calls the failures of a connection. */
const SYSTEM: readonly (readonly [pattern: RegExp, words: string])[] = [
  [/ECONNREFUSED/, 'refused the connection'],
  [/EHOSTUNREACH|ENETUNREACH/, 'cannot be reached: there is no route to it'],
  [/ENOTFOUND|EAI_AGAIN/, 'cannot be reached: its name is unknown'],
  [/ECONNRESET|EPIPE|closed the connection|connection was closed/, 'closed the connection'],
  [/self-signed|unable to verify|unable to get|signature failure/, 'belongs to another cluster'],
  [/certificate has expired/, 'shows a certificate that has expired'],
  [/no answer within|ETIMEDOUT/, 'did not answer in time'],
];

const CODES: Readonly<Partial<Record<Code, string>>> = {
  [Code.DEADLINE_EXCEEDED]: 'did not answer in time',
  [Code.UNIMPLEMENTED]: 'does not tell: it is no manager of Skein, or an older one',
};

/** One clause, as `10.0.0.3:2377 refused the connection`. */
export function unreached(address: string, error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const known = error instanceof RpcError ? CODES[error.code] : undefined;
  const words = known ?? SYSTEM.find(([pattern]) => pattern.test(text))?.[1];
  return words === undefined ? `${address} does not answer: ${text}` : `${address} ${words}`;
}
