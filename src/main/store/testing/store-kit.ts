/** What the store's own tests share. */
import { Secret } from '../../../shared/wire/gen/objects.ts';
import { openMemoryStore, type MemoryStore } from './memory-log.ts';

/** The clock of these tests. */
export const clock = { nowMs: 1_700_000_000_123 };
export const env = { nowMs: () => clock.nowMs, randBelow: () => 7, newId: () => 'x' };

/** A store whose entries commit when the test says so. */
export const manual = (): MemoryStore => openMemoryStore(env, { manual: true });
export const open = (): MemoryStore => openMemoryStore(env);

/** Lets what was written in this turn be proposed. */
export const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

export const secret = (id: string, name = id, bytes = 0): Secret =>
  Secret.create({ id, spec: { annotations: { name }, data: new Uint8Array(bytes) } });
