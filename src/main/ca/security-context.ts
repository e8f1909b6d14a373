/** Who this node is at the moment: root, certificate and key, and what follows from them. */
import { NodeRole, type NodeTLSInfo } from '../../shared/wire/gen/types.ts';
import { type Identity, Role } from '../rpc/authorise.ts';
import type { Credentials } from '../rpc/listener.ts';
import { CertificateError } from './certificates.ts';
import {
  checkKeyMatches,
  issuerInfo,
  parseCertificates,
  subjectField,
  validity,
} from './chains.ts';
import type { Headers, KeyStore } from './key-files.ts';
import { RootCa } from './root.ts';

/** Everything that a node's certificate says, with the certificate. */
export type NodeIdentity = Identity & {
  readonly role: Role;
  readonly credentials: Credentials;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** What a node tells about its trust in its description. */
  readonly tlsInfo: NodeTLSInfo;
};

const isRole = (text: string): text is Role => text === Role.MANAGER || text === Role.WORKER;

/** The certificate's role as the store writes it. */
export const nodeRoleOf = (role: Role): NodeRole =>
  role === Role.MANAGER ? NodeRole.MANAGER : NodeRole.WORKER;

/** The store's role as certificates write it. */
export const roleOf = (role: NodeRole): Role =>
  role === NodeRole.MANAGER ? Role.MANAGER : Role.WORKER;

/**
 * Reads a node's certificate, which must verify against `rootPem` and fit the key.
 *
 * @throws CertificateError saying what is wrong.
 */
export function readIdentity(credentials: Credentials, nowMs: number): NodeIdentity {
  const root = RootCa.parse(credentials.rootPem);
  const chain = parseCertificates(credentials.certificatePem);
  const [leaf] = chain;
  if (leaf === undefined) throw new CertificateError('no certificate');
  const issuer = root.verify(chain, nowMs);
  checkKeyMatches(leaf, credentials.keyPem);
  const nodeId = subjectField(leaf, 'CN').at(0) ?? '';
  const organization = subjectField(leaf, 'O').at(0) ?? '';
  const roles = subjectField(leaf, 'OU');
  const role = roles.find(isRole);
  if (nodeId === '' || organization === '' || role === undefined) {
    throw new CertificateError('the node certificate lacks a node id, a cluster id or a role');
  }
  const { subject, publicKey } = issuerInfo(leaf, issuer);
  return {
    nodeId,
    organization,
    roles,
    role,
    credentials,
    ...validity(leaf),
    tlsInfo: {
      trustRoot: Buffer.from(credentials.rootPem),
      certIssuerSubject: subject,
      certIssuerPublicKey: publicKey,
    },
  };
}

/** Holds the current identity; listeners, clients and the agent's description follow it. */
export class SecurityContext {
  #identity: NodeIdentity;
  readonly #store: KeyStore;
  readonly #listeners = new Set<(identity: NodeIdentity) => void>();

  constructor(identity: NodeIdentity, store: KeyStore) {
    this.#identity = identity;
    this.#store = store;
  }

  get identity(): NodeIdentity {
    return this.#identity;
  }

  get credentials(): Credentials {
    return this.#identity.credentials;
  }

  /** Hears every new identity from now on. Returns the function that stops it. */
  watch(listener: (identity: NodeIdentity) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Adopts a new certificate and key, on disk first, with what else the key file is to carry then.
   *
   * @throws CertificateError when it is not a certificate of this cluster and this node.
   */
  async renew(
    { certificatePem, keyPem }: Omit<Credentials, 'rootPem'>,
    nowMs: number,
    headers?: (next: NodeIdentity, kept: Headers) => Headers,
  ): Promise<void> {
    const { rootPem } = this.credentials;
    const next = readIdentity({ certificatePem, keyPem, rootPem }, nowMs);
    if (next.nodeId !== this.#identity.nodeId) {
      throw new CertificateError(`the new certificate is for another node: ${next.nodeId}`);
    }
    await this.#store.save(certificatePem, keyPem, headers && ((kept) => headers(next, kept)));
    this.#adopt(next);
  }

  /**
   * Adopts a root that a manager sent, if this node's certificate verifies against it too.
   *
   * @throws CertificateError when it does not.
   */
  async trust(rootPem: string, nowMs: number): Promise<void> {
    if (rootPem === this.credentials.rootPem) return;
    const next = readIdentity({ ...this.credentials, rootPem }, nowMs);
    await this.#store.saveRoot(rootPem);
    this.#adopt(next);
  }

  #adopt(next: NodeIdentity): void {
    this.#identity = next;
    for (const listener of this.#listeners) listener(next);
  }
}

/** The node's certificate is past its time, and only a new join helps. */
export class ExpiredError extends CertificateError {
  constructor(notAfterMs: number) {
    const day = new Date(notAfterMs).toISOString();
    super(`the node certificate expired on ${day}: join the cluster again with a token`);
  }
}

/**
 * The identity that `store` keeps; `undefined` when this node has none yet.
 *
 * A manager whose certificate has expired goes on with it: it is renewed over the manager's own
 * control socket, which no certificate guards. (SwarmKit does not start then.)
 *
 * @throws LockedError; ExpiredError on a worker; CertificateError when the files are damaged or do
 * not belong together.
 */
export async function loadSecurityContext(
  store: KeyStore,
  nowMs: number,
): Promise<SecurityContext | undefined> {
  const rootPem = await store.loadRoot();
  const stored = await store.load();
  if (rootPem === undefined || stored === undefined) return undefined;
  const { certificatePem, keyPem } = stored;
  const [leaf] = parseCertificates(certificatePem);
  const { notAfterMs } = leaf === undefined ? { notAfterMs: nowMs } : validity(leaf);
  const atMs = Math.min(nowMs, notAfterMs);
  const identity = readIdentity({ certificatePem, keyPem, rootPem }, atMs);
  if (atMs < nowMs && identity.role !== Role.MANAGER) throw new ExpiredError(notAfterMs);
  return new SecurityContext(identity, store);
}
