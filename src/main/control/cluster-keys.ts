/** What an update of the cluster does to its join tokens, its unlock key and its list of barred nodes. */
import { millisOf } from '../../shared/model/time.ts';
import type { KeyRotation } from '../../shared/wire/gen/control.ts';
import type { Cluster } from '../../shared/wire/gen/objects.ts';
import {
  type BlacklistedCertificate,
  EncryptionKey,
  type JoinTokens,
} from '../../shared/wire/gen/types.ts';
import type { KeyMaker } from './context.ts';

/** The subsystem that unlock keys are kept for. */
const MANAGER_SUBSYSTEM = 'swarm-manager';

/** A barred certificate is forgotten this long after it has expired by itself. */
const BARRED_AFTER_EXPIRY_MS = 7 * 24 * 3_600_000;

/** The tokens after the rotation; what is not rotated stays. */
export function joinTokens(
  keys: KeyMaker,
  { rootCa, fips }: Cluster,
  rotation: KeyRotation,
): JoinTokens {
  const rootPem = Buffer.from(rootCa.caCert).toString('utf8');
  const { worker, manager } = rootCa.joinTokens;
  return {
    worker: rotation.workerJoinToken ? keys.newJoinToken(rootPem, fips) : worker,
    manager: rotation.managerJoinToken ? keys.newJoinToken(rootPem, fips) : manager,
  };
}

/** The keys after an update: one for managers while they lock themselves, none otherwise. */
export function unlockKeys(
  keys: KeyMaker,
  { unlockKeys: stored }: Cluster,
  wish: { readonly isLocked: boolean; readonly rotate: boolean },
): readonly EncryptionKey[] {
  const others = stored.filter((key) => key.subsystem !== MANAGER_SUBSYSTEM);
  if (!wish.isLocked) return others;
  if (others.length < stored.length && !wish.rotate) return stored;
  const key = keys.newUnlockKey();
  return [...others, EncryptionKey.create({ subsystem: MANAGER_SUBSYSTEM, key })];
}

/** The barred certificates that could still be shown; an entry without an expiry stays. */
export function stillBarred(
  { blacklistedCertificates }: Cluster,
  nowMs: number,
): Readonly<Record<string, BlacklistedCertificate>> {
  const isBarred = ({ expiry }: BlacklistedCertificate): boolean =>
    expiry === undefined || millisOf(expiry) + BARRED_AFTER_EXPIRY_MS > nowMs;
  return Object.fromEntries(
    Object.entries(blacklistedCertificates).filter(([, entry]) => isBarred(entry)),
  );
}
