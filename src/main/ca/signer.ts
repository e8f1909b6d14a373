/**
 * The leader's signer: turns certificate requests in the store into certificates.
 *
 * It follows the store and keeps the ids of nodes that wait; signing runs in short bites. What cannot
 * be signed for now (no key here) stays waiting and is tried again; a request that is no good fails.
 */
import { createHash } from 'node:crypto';
import type { Env } from '../../shared/kit/env.ts';
import type { Cluster, Node } from '../../shared/wire/gen/objects.ts';
import { Bites, type Work } from '../kit/bites.ts';
import type { Log } from '../log.ts';
import type { Commit } from '../store/transaction.ts';
import { CertificateError } from './certificates.ts';
import { issued, needsCertificate, refused } from './core/issuance.ts';
import { RootCa, SignerMissingError } from './root.ts';
import { roleOf } from './security-context.ts';
import type { CaStore } from './store.ts';

/** How often requests are tried again that could not be signed for want of a key. */
const SIGNER_RETRY_MS = 10_000;

export type SignerOptions = {
  readonly store: CaStore;
  readonly clusterId: string;
  readonly env: Env;
  readonly log: Log;
};

/** Seconds and nanoseconds as milliseconds; 0 for none. */
const durationMs = (duration: { seconds: number; nanos: number } | undefined): number =>
  duration === undefined ? 0 : duration.seconds * 1000 + duration.nanos / 1e6;

export class Signer {
  readonly #options: SignerOptions;
  readonly #bites: Bites;
  /** Nodes that may need a certificate. */
  readonly #waiting = new Set<string>();
  #working = false;
  #unwatch: (() => void) | undefined;
  #retry: NodeJS.Timeout | undefined;
  #root: { readonly digest: string; readonly root: RootCa } | undefined;

  constructor(options: SignerOptions) {
    this.#options = options;
    this.#bites = new Bites((error) => this.#failed(error));
  }

  /** Looks at every node once, then at each change. */
  start(): void {
    const { store } = this.#options;
    this.#unwatch = store.watch((commit) => this.#onCommit(commit));
    store.head((view) => {
      for (const node of view.nodes.all()) if (needsCertificate(node)) this.#waiting.add(node.id);
    });
    this.#wake();
    this.#retry = setInterval(() => this.#wake(), SIGNER_RETRY_MS);
  }

  stop(): void {
    this.#unwatch?.();
    clearInterval(this.#retry);
    this.#bites.stop();
    this.#waiting.clear();
  }

  #onCommit({ changes }: Commit): void {
    for (const change of changes) {
      if (change.kind !== 'node' || change.action === 'remove') continue;
      if (needsCertificate(change.object)) this.#waiting.add(change.object.id);
    }
    this.#wake();
  }

  #wake(): void {
    if (this.#working || this.#waiting.size === 0) return;
    this.#working = true;
    this.#bites.add(this.#work());
  }

  *#work(): Work {
    try {
      for (const id of this.#waiting) {
        this.#waiting.delete(id);
        if (!this.#sign(id)) {
          this.#waiting.add(id);
          break; // the next one would not fare better
        }
        yield;
      }
    } finally {
      this.#working = false;
    }
  }

  /** False when there is no signer for now. */
  #sign(id: string): boolean {
    const { store, clusterId, log } = this.#options;
    const { node, cluster } = store.head((view) => ({
      node: view.nodes.get(id),
      cluster: view.clusters.get(clusterId),
    }));
    if (node === undefined || cluster === undefined || !needsCertificate(node)) return true;
    try {
      // Bytes of their own: they stay as long as the node, and would hold a shared page of 64 KiB.
      const certificate = new TextEncoder().encode(this.#issue(node, cluster));
      void this.#write(node, (current) => issued(current, certificate));
    } catch (error) {
      if (error instanceof SignerMissingError) return false;
      if (!(error instanceof CertificateError)) throw error;
      log.warn({ node: id, error }, 'refused a certificate request');
      const text = error.message;
      void this.#write(node, (current) => refused(current, text));
    }
    return true;
  }

  #issue(node: Node, cluster: Cluster): string {
    const name = { nodeId: node.id, organization: cluster.id, role: roleOf(node.certificate.role) };
    // Read anew for every certificate, so that a change of the cluster's setting counts at once.
    const expiryMs = durationMs(cluster.spec.caConfig.nodeCertExpiry);
    const time = { nowMs: this.#options.env.nowMs(), expiryMs };
    const csr = Buffer.from(node.certificate.csr).toString();
    return this.#rootOf(cluster).issue(csr, name, time);
  }

  #rootOf({ rootCa }: Cluster): RootCa {
    const digest = createHash('sha256').update(rootCa.caCert).update(rootCa.caKey).digest('hex');
    if (this.#root?.digest === digest) return this.#root.root;
    const keyPem = Buffer.from(rootCa.caKey).toString();
    const certificatePem = Buffer.from(rootCa.caCert).toString();
    const root = RootCa.parse(certificatePem, keyPem === '' ? undefined : keyPem);
    this.#root = { digest, root };
    return root;
  }

  /** Writes the outcome unless the node has asked for something else meanwhile. */
  async #write(signed: Node, outcome: (current: Node) => Node): Promise<void> {
    const { store } = this.#options;
    try {
      await store.update((tx) => {
        const current = tx.nodes.get(signed.id);
        if (current === undefined || !needsCertificate(current)) return;
        if (!Buffer.from(current.certificate.csr).equals(signed.certificate.csr)) return;
        tx.nodes.update(outcome(current));
      });
    } catch (error) {
      this.#failed(error);
      this.#waiting.add(signed.id);
    }
  }

  #failed(error: unknown): void {
    this.#options.log.error({ error }, 'the certificate signer failed; it tries again');
  }
}
