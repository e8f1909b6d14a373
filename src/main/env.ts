/** The real time, luck and ids: the one place of the main thread that touches them. */
import { randomBytes } from 'node:crypto';
import { idFrom } from '../shared/kit/base36.ts';
import type { Env } from '../shared/kit/env.ts';

export const realEnv: Env = {
  nowMs: () => Date.now(),
  randBelow: (limit) => Math.floor(Math.random() * limit),
  newId: () => idFrom(randomBytes(17)),
};
