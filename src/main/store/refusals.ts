/** The texts of refused writes, which are SwarmKit's own: clients and tests match on them. */
import { StoreError, type StoreErrorCode } from './transaction.ts';

export const STORE_ERROR_TEXTS: Readonly<Record<StoreErrorCode, string>> = {
  EXISTS: 'object already exists',
  NOT_EXIST: 'object does not exist',
  NAME_CONFLICT: 'name conflicts with an existing object',
  OUT_OF_SEQUENCE: 'update out of sequence',
  KIND_UNREGISTERED: 'object kind is unregistered',
  EXTENSION_IMMUTABLE: 'extensions are immutable',
  EXTENSION_IN_USE: 'cannot delete extension because objects of this type exist in the data store',
  TOO_LARGE: "raft: raft message is too large and can't be sent",
  LEADERSHIP_LOST: 'raft: failed to process the request: node lost leader status',
  NOT_LEADER: 'raft: failed to process the request: node lost leader status',
  OUT_OF_BOUNDS: 'last version is out of bounds',
};

/** The error of a code, with its text. */
export function refusal(code: StoreErrorCode): StoreError {
  return new StoreError(code, STORE_ERROR_TEXTS[code]);
}
