/**
 * The CA and NodeCA services: roots for everybody, certificates for those with a token or an old
 * certificate (behaviour rule 4.4). The leader runs them; requests go through the store to the signer.
 */
import type { Env } from '../../shared/kit/env.ts';
import type {
  IssueNodeCertificateRequest,
  IssueNodeCertificateResponse,
  NodeCertificateStatusResponse,
} from '../../shared/wire/gen/ca.ts';
import type { Cluster, Node } from '../../shared/wire/gen/objects.ts';
import { NodeSpecMembership } from '../../shared/wire/gen/specs.ts';
import type { NodeRole } from '../../shared/wire/gen/types.ts';
import type { Log } from '../log.ts';
import { type Caller, Role } from '../rpc/authorise.ts';
import { Code, RpcError } from '../rpc/errors.ts';
import { type Handlers, implement, type Implementation } from '../rpc/service.ts';
import { type Commit, StoreError } from '../store/transaction.ts';
import { isSettled, joiningNode, renewing, roleOfToken } from './core/issuance.ts';
import { Signer } from './signer.ts';
import type { CaStore, CaTransaction } from './store.ts';
import { sameToken } from './tokens.ts';

export type AuthorityOptions = {
  readonly store: CaStore;
  readonly clusterId: string;
  readonly env: Env;
  readonly log: Log;
};

const ID_ATTEMPTS = 3;

const invalid = (text = 'InvalidArgument'): RpcError => new RpcError(Code.INVALID_ARGUMENT, text);
const aborted = (text: string): RpcError => new RpcError(Code.ABORTED, text);

type State = 'starting' | 'running' | 'stopped';

/** Somebody waiting for a node's certificate. */
type Waiter = { readonly check: (node: Node | undefined) => void; readonly end: () => void };

export class CertificateAuthority {
  readonly #options: AuthorityOptions;
  readonly #waiters = new Map<string, Set<Waiter>>();
  #state: State = 'starting';
  #signer: Signer | undefined;
  #unwatch: (() => void) | undefined;

  constructor(options: AuthorityOptions) {
    this.#options = options;
  }

  /** Begins to answer and to sign: this manager leads, and the cluster object exists. */
  start(): void {
    this.#signer = new Signer(this.#options);
    this.#unwatch = this.#options.store.watch((commit) => this.#onCommit(commit));
    this.#signer.start();
    this.#state = 'running';
  }

  /** Ends all waiting calls. Can be started again. */
  stop(): void {
    this.#state = 'stopped';
    this.#unwatch?.();
    this.#signer?.stop();
    for (const waiters of this.#waiters.values()) for (const waiter of waiters) waiter.end();
  }

  /** For the listeners. */
  get services(): readonly Implementation[] {
    return [implement('CA', this.#ca), implement('NodeCA', this.#nodeCa)];
  }

  readonly #ca: Handlers<'CA'> = {
    GetRootCACertificate: () => ({ certificate: this.#cluster().rootCa.caCert }),
    GetUnlockKey: () => {
      const { unlockKeys, meta } = this.#cluster();
      const own = unlockKeys.find(({ subsystem }) => subsystem === Role.MANAGER);
      return { unlockKey: own?.key ?? new Uint8Array(), version: meta.version };
    },
  };

  readonly #nodeCa: Handlers<'NodeCA'> = {
    IssueNodeCertificate: (request, caller) => this.#issue(request, caller),
    NodeCertificateStatus: ({ nodeId }, _caller, { signal }) => this.#status(nodeId, signal),
  };

  #cluster(): Cluster {
    const { store, clusterId } = this.#options;
    const cluster = store.view((view) => view.clusters.get(clusterId));
    if (cluster === undefined) throw aborted('CA signer is still starting');
    return cluster;
  }

  #mustRun(): void {
    if (this.#state === 'starting') throw aborted('CA signer is still starting');
    if (this.#state === 'stopped') throw aborted('CA signer is stopped');
  }

  async #issue(
    request: IssueNodeCertificateRequest,
    caller: Caller,
  ): Promise<IssueNodeCertificateResponse> {
    if (request.csr.length === 0) throw invalid();
    this.#mustRun();
    const nodeId =
      caller.nodeId === ''
        ? await this.#admit(request)
        : await this.#renew(caller.nodeId, request.csr);
    return { nodeId, nodeMembership: NodeSpecMembership.ACCEPTED };
  }

  async #renew(nodeId: string, csr: Uint8Array): Promise<string> {
    await this.#options.store.update((tx) => {
      const node = tx.nodes.get(nodeId);
      if (node === undefined) {
        const text = `node ${nodeId} not found when attempting to renew certificate`;
        throw new RpcError(Code.NOT_FOUND, text);
      }
      tx.nodes.update(renewing(node, csr));
    });
    return nodeId;
  }

  async #admit(request: IssueNodeCertificateRequest): Promise<string> {
    const { store, env, log } = this.#options;
    const role = roleOfToken(request.token, this.#cluster(), sameToken);
    if (role === undefined) {
      throw invalid('A valid join token is necessary to join this cluster');
    }
    for (let attempt = 1; ; attempt += 1) {
      const id = env.newId();
      try {
        await store.update((tx) => this.#create(tx, id, role, request));
        log.info({ node: id, role }, 'a node joins');
        return id;
      } catch (error) {
        const clash = error instanceof StoreError && error.code === 'EXISTS';
        if (!clash || attempt >= ID_ATTEMPTS) throw error;
      }
    }
  }

  #create(
    tx: CaTransaction,
    id: string,
    role: NodeRole,
    { csr, availability }: IssueNodeCertificateRequest,
  ): void {
    const cluster = tx.clusters.get(this.#options.clusterId);
    if (cluster === undefined) throw aborted('CA signer is still starting');
    tx.nodes.create(joiningNode(id, { role, csr, availability }, cluster));
  }

  #status(nodeId: string, signal: AbortSignal): Promise<NodeCertificateStatusResponse> {
    if (nodeId === '') throw invalid();
    this.#mustRun();
    return new Promise((resolve, reject) => {
      const done = (): void => {
        this.#forget(nodeId, waiter);
        signal.removeEventListener('abort', waiter.end);
      };
      const waiter: Waiter = {
        check: (node) => {
          if (node !== undefined && !isSettled(node)) return;
          done();
          if (node === undefined) reject(new RpcError(Code.NOT_FOUND, 'NotFound'));
          else resolve({ status: node.certificate.status, certificate: node.certificate });
        },
        end: () => {
          done();
          reject(aborted('CA signer is stopped'));
        },
      };
      this.#remember(nodeId, waiter);
      signal.addEventListener('abort', waiter.end);
      waiter.check(this.#options.store.view((view) => view.nodes.get(nodeId)));
    });
  }

  #remember(nodeId: string, waiter: Waiter): void {
    const waiters = this.#waiters.get(nodeId) ?? new Set();
    this.#waiters.set(nodeId, waiters.add(waiter));
  }

  #forget(nodeId: string, waiter: Waiter): void {
    const waiters = this.#waiters.get(nodeId);
    waiters?.delete(waiter);
    if (waiters?.size === 0) this.#waiters.delete(nodeId);
  }

  #onCommit({ changes }: Commit): void {
    if (this.#waiters.size === 0) return;
    for (const change of changes) {
      if (change.kind !== 'node') continue;
      const node = change.action === 'remove' ? undefined : change.object;
      for (const waiter of this.#waiters.get(change.object.id) ?? []) waiter.check(node);
    }
  }
}
