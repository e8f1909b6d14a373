/**
 * The keys with which engines seal their gossip and overlay traffic: three for each of two uses, told
 * apart by their Lamport times; one of each is replaced every twelve hours (behaviour chapter 10).
 */
import { randomBytes } from 'node:crypto';
import type { Cluster } from '../../shared/wire/gen/objects.ts';
import { EncryptionKeyAlgorithm, type EncryptionKey } from '../../shared/wire/gen/types.ts';
import type { Log } from '../log.ts';
import type { Store } from '../store/transaction.ts';

export const NETWORK_KEYS = {
  subsystems: ['networking:gossip', 'networking:ipsec'],
  /** Engines silently do without a network agent when there are more or fewer. */
  perSubsystem: 3,
  bytes: 16,
  rotationMs: 12 * 3600 * 1000,
} as const;

type Keys = Pick<Cluster, 'networkBootstrapKeys' | 'encryptionKeyLamportClock'>;

const newKey = (subsystem: string, lamportTime: number): EncryptionKey => ({
  subsystem,
  algorithm: EncryptionKeyAlgorithm.AES_128_GCM,
  key: randomBytes(NETWORK_KEYS.bytes),
  lamportTime,
});

/** A first set of keys; the clock begins anywhere in 16 bits. */
export function newNetworkKeys(randBelow: (limit: number) => number): Keys {
  let clock = randBelow(0xffff);
  const networkBootstrapKeys = NETWORK_KEYS.subsystems.flatMap((subsystem) =>
    Array.from({ length: NETWORK_KEYS.perSubsystem }, () => {
      clock += 1;
      return newKey(subsystem, clock);
    }),
  );
  return { networkBootstrapKeys, encryptionKeyLamportClock: clock };
}

/** Of each subsystem the oldest key goes and a new one comes; no Lamport time is used twice. */
export function rotatedKeys(keys: Keys): Keys {
  let clock = keys.encryptionKeyLamportClock;
  const networkBootstrapKeys = NETWORK_KEYS.subsystems.flatMap((subsystem) => {
    const own = keys.networkBootstrapKeys
      .filter((key) => key.subsystem === subsystem)
      .toSorted((a, b) => a.lamportTime - b.lamportTime);
    clock += 1;
    return [...own.slice(1 - NETWORK_KEYS.perSubsystem), newKey(subsystem, clock)];
  });
  return { networkBootstrapKeys, encryptionKeyLamportClock: clock };
}

/** Rotates the keys while this manager leads. */
export class KeyManager {
  readonly #store: Store;
  readonly #log: Log;
  #timer: NodeJS.Timeout | undefined;

  constructor(store: Store, log: Log) {
    this.#store = store;
    this.#log = log;
  }

  start(): void {
    this.#timer = setInterval(() => this.#rotate(), NETWORK_KEYS.rotationMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #rotate(): void {
    this.#store
      .update((tx) => {
        const [cluster] = tx.clusters.all();
        if (cluster !== undefined) tx.clusters.update({ ...cluster, ...rotatedKeys(cluster) });
      })
      .catch((error: unknown) => this.#log.warn({ error }, 'network keys were not rotated'));
  }
}
