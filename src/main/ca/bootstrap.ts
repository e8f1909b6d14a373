/**
 * The first identities: a new cluster's root and first manager, or a node that joins.
 */
import type { Env } from '../../shared/kit/env.ts';
import { NodeSpecAvailability } from '../../shared/wire/gen/specs.ts';
import { Certificate, IssuanceStatusState, RootCA } from '../../shared/wire/gen/types.ts';
import type { Log } from '../log.ts';
import { Role } from '../rpc/authorise.ts';
import { certificateRequest, newKey } from './certificates.ts';
import { fetchRoot, joinApproach, requestCertificate } from './join.ts';
import type { KeyStore } from './key-files.ts';
import { RootCa } from './root.ts';
import {
  type NodeIdentity,
  nodeRoleOf,
  readIdentity,
  SecurityContext,
} from './security-context.ts';
import { newJoinToken, parseJoinToken, rootHash } from './tokens.ts';

const FIPS_PREFIX = 'FIPS.';

/** This node has no FIPS-validated cryptography, and the cluster asks for it. */
class FipsError extends Error {
  override readonly name = 'FipsError';

  constructor() {
    super('node is not FIPS-enabled but cluster requires FIPS');
  }
}

/**
 * Founds a cluster: a new root and a manager certificate signed by it, both kept in `store`, the key
 * with `headers`. The root's key is returned and not kept there: it belongs into the cluster object.
 */
export async function foundCluster(
  store: KeyStore,
  env: Env,
  headers: Readonly<Record<string, string>> = {},
): Promise<{ readonly security: SecurityContext; readonly root: RootCa }> {
  const nowMs = env.nowMs();
  const root = await RootCa.create(nowMs);
  const keyPem = await newKey();
  const name = { nodeId: env.newId(), organization: env.newId(), role: Role.MANAGER };
  const certificatePem = root.issue(certificateRequest(keyPem), name, { nowMs, expiryMs: 0 });
  const identity = readIdentity({ certificatePem, keyPem, rootPem: root.certificatePem }, nowMs);
  await store.saveRoot(root.certificatePem);
  await store.save(certificatePem, keyPem, headers);
  return { security: new SecurityContext(identity, store), root };
}

export type JoinOptions = {
  readonly store: KeyStore;
  /** `host:port` of a manager. */
  readonly address: string;
  readonly token: string;
  readonly availability?: NodeSpecAvailability;
  /** Kept with the key of a node that joins as a manager. */
  readonly managerHeaders?: Readonly<Record<string, string>>;
  readonly env: Env;
  readonly log: Log;
  readonly signal: AbortSignal;
};

/**
 * Joins a cluster: its root by the token's digest, then a certificate by the token's secret.
 *
 * @throws TokenError, FipsError, CertificateError, RpcError: each tells the user what to mend.
 */
export async function joinCluster(options: JoinOptions): Promise<SecurityContext> {
  const { store, address, token, env, log, signal } = options;
  if (parseJoinToken(token).fips) throw new FipsError();
  const root = await fetchRoot({ address, token, log, signal });
  const issued = await requestCertificate({
    approach: joinApproach(address, root.certificatePem),
    token,
    availability: options.availability ?? NodeSpecAvailability.ACTIVE,
    log,
    signal,
  });
  const identity = readIdentity({ ...issued, rootPem: root.certificatePem }, env.nowMs());
  if (identity.organization.startsWith(FIPS_PREFIX)) throw new FipsError();
  await store.saveRoot(root.certificatePem);
  const headers = identity.role === Role.MANAGER ? options.managerHeaders : {};
  await store.save(issued.certificatePem, issued.keyPem, headers);
  return new SecurityContext(identity, store);
}

/** The root as the new cluster object holds it, with fresh join tokens. */
export function clusterRootCa(root: RootCa): RootCA {
  return RootCA.create({
    caKey: Buffer.from(root.keyPem ?? ''),
    caCert: Buffer.from(root.certificatePem),
    caCertHash: rootHash(root.certificatePem),
    joinTokens: {
      worker: newJoinToken(root.certificatePem),
      manager: newJoinToken(root.certificatePem),
    },
  });
}

/** Fresh join tokens for the roles asked for; the others stay. */
export function rotateJoinTokens(
  rootCa: RootCA,
  which: { readonly worker: boolean; readonly manager: boolean },
  fips = false,
): RootCA {
  const rootPem = Buffer.from(rootCa.caCert).toString();
  const { worker, manager } = rootCa.joinTokens;
  return {
    ...rootCa,
    joinTokens: {
      worker: which.worker ? newJoinToken(rootPem, fips) : worker,
      manager: which.manager ? newJoinToken(rootPem, fips) : manager,
    },
  };
}

/** The certificate of a manager's own node object. */
export function ownCertificate(identity: NodeIdentity): Certificate {
  return Certificate.create({
    role: nodeRoleOf(identity.role),
    cn: identity.nodeId,
    certificate: Buffer.from(identity.credentials.certificatePem),
    status: { state: IssuanceStatusState.ISSUED },
  });
}
