/** The real time, luck and ids: the one place of the main thread that touches them. */
import { randomBytes } from 'node:crypto';
import { idFrom } from '../shared/kit/base36.ts';
import type { Env } from '../shared/kit/env.ts';

const ID_BYTES = 17;
/** Luck for some ids: asking for it costs as much as making an id of it. */
const POOL_BYTES = ID_BYTES * 256;
let pool = new Uint8Array(0);

function idBytes(): Uint8Array {
  if (pool.length === 0) pool = randomBytes(POOL_BYTES);
  const bytes = pool.subarray(0, ID_BYTES);
  pool = pool.subarray(ID_BYTES);
  return bytes;
}

export const realEnv: Env = {
  nowMs: () => Date.now(),
  randBelow: (limit) => Math.floor(Math.random() * limit),
  newId: () => idFrom(idBytes()),
};
