import { randomBytes } from 'node:crypto';

/** Any number from 1 to 2^63, as raft ids are. */
export const newRaftId = (): bigint => (randomBytes(8).readBigUInt64BE() >> 1n) + 1n;
