/**
 * The key that seals a manager's raft log. It is kept with the node's TLS key, as a header of the key
 * file (behaviour rule 3.11).
 */
import { randomBytes } from 'node:crypto';
import {
  MaybeEncryptedRecord,
  MaybeEncryptedRecordAlgorithm,
} from '../../shared/wire/gen/types.ts';
import { DATA_KEY_BYTES } from '../raft/log/cipher.ts';

const HEADER = 'raft-dek';
/** Set once the log that the key seals holds a cluster: without that log the key is of no use. */
const FOUNDED = 'skein-founded';

/** Set while a manager that joins has not been let in by the others. */
const JOINING = 'skein-joining';

type Headers = Readonly<Record<string, string>>;

/** Headers of a fresh data key. */
export function newDataKeyHeaders(): Headers {
  const data = randomBytes(DATA_KEY_BYTES);
  const record = MaybeEncryptedRecord.create({
    algorithm: MaybeEncryptedRecordAlgorithm.NONE,
    data,
  });
  return { [HEADER]: Buffer.from(MaybeEncryptedRecord.encode(record)).toString('base64') };
}

/** The data key in the headers of a key file; undefined when there is none. */
export function dataKeyOf(headers: Headers): Uint8Array | undefined {
  const header = headers[HEADER];
  if (header === undefined) return undefined;
  return MaybeEncryptedRecord.decode(Buffer.from(header, 'base64')).data;
}

/** Headers of a fresh data key of a manager that joins: its log is empty until it was let in. */
export const newJoiningHeaders = (): Headers => ({ ...newDataKeyHeaders(), [JOINING]: 'true' });

/** Whether the manager with this key is to be let in by others, and never founds a cluster. */
export const isJoining = (headers: Headers): boolean => headers[JOINING] === 'true';

/** Whether the log of this key has held a cluster. */
export const isFounded = (headers: Headers): boolean => headers[FOUNDED] === 'true';

/** The headers of a key whose log holds a cluster. */
export function foundedHeaders(headers: Headers): Headers {
  const { [JOINING]: _, ...others } = headers;
  return { ...others, [FOUNDED]: 'true' };
}
