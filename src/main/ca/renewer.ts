/**
 * Keeps a node's certificate fresh: asks for a new one in time, or when told to (behaviour rule 4.5).
 *
 * One loop waits for the next moment or a force; a failed attempt is tried again with growing pauses.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { NodeSpecAvailability } from '../../shared/wire/gen/specs.ts';
import type { Env } from '../../shared/kit/env.ts';
import type { Log } from '../log.ts';
import type { Role } from '../rpc/authorise.ts';
import type { ChannelTarget } from '../rpc/client.ts';
import { CertificateError } from './certificates.ts';
import { backoffMs, RENEWAL_LIMITS, renewalDelayMs } from './core/renewal.ts';
import { requestCertificate } from './join.ts';
import type { Headers } from './key-files.ts';
import { type NodeIdentity, readIdentity, type SecurityContext } from './security-context.ts';

export type RenewerOptions = {
  readonly security: SecurityContext;
  /**
   * Where attempt number `attempt` (from 1) goes. A manager asks its own control socket first, and
   * after a failure another manager.
   */
  readonly approach: (attempt: number, identity: NodeIdentity) => ChannelTarget;
  /** What the key file is to carry with a new certificate; as it is unless given. */
  readonly headers?: (next: NodeIdentity, kept: Headers) => Headers;
  readonly env: Env;
  readonly log: Log;
  /** Only tests wait otherwise. */
  readonly pauses?: Pauses;
};

export type Pauses = {
  readonly forcedDelayMs: number;
  /** After so many failures in a row. */
  readonly backoffMs: (failures: number) => number;
};

const PAUSES: Pauses = { forcedDelayMs: RENEWAL_LIMITS.forcedDelayMs, backoffMs };

/** Longer waits are cut into pieces, since timers hold no more than 2^31 ms. */
const WAIT_PIECE_MS = 86_400_000;

export class Renewer {
  readonly #options: RenewerOptions;
  readonly #pauses: Pauses;
  readonly #stopping = new AbortController();
  /** Aborted to end the wait for the next moment. */
  #waking = new AbortController();
  /** `undefined`: renew when it is time. */
  #forced: { readonly role: Role | undefined } | undefined;
  #running: Promise<void> | undefined;

  constructor(options: RenewerOptions) {
    this.#options = options;
    this.#pauses = options.pauses ?? PAUSES;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /**
   * Renews now; with `role`, until the new certificate carries that role. A role asked for before stays
   * asked for when none is named.
   */
  force(role?: Role): void {
    this.#forced = { role: role ?? this.#forced?.role };
    this.#waking.abort();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#waking.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    let failures = 0;
    while (!this.#stopping.signal.aborted) {
      if (failures > 0) await this.#wait(this.#pauses.backoffMs(failures));
      else if (this.#forced === undefined) await this.#untilDue();
      if (this.#stopping.signal.aborted) return;
      const forced = this.#forced;
      failures = (await this.#attempt()) ? 0 : failures + 1;
      // Who forced meanwhile knows more than the attempt that failed.
      if (this.#forced !== forced) failures = 0;
    }
  }

  async #untilDue(): Promise<void> {
    const { security, env } = this.#options;
    const dueMs = env.nowMs() + renewalDelayMs(security.identity, env);
    while (env.nowMs() < dueMs && this.#forced === undefined && !this.#stopping.signal.aborted) {
      await this.#wait(Math.min(dueMs - env.nowMs(), WAIT_PIECE_MS));
    }
  }

  /** Waits so long, or until a stop or a force ends the wait. */
  async #wait(forMs: number): Promise<void> {
    this.#waking = new AbortController();
    if (this.#stopping.signal.aborted) return;
    await sleep(forMs, undefined, { signal: this.#waking.signal }).catch(() => undefined);
  }

  /** One renewal; true when the node has its new certificate. */
  async #attempt(): Promise<boolean> {
    const forced = this.#forced;
    const { log } = this.#options;
    try {
      if (forced !== undefined) await sleep(this.#pauses.forcedDelayMs, undefined, this.#signal);
      await this.#renew(forced?.role);
      if (this.#forced === forced) this.#forced = undefined;
      return true;
    } catch (error) {
      if (!this.#stopping.signal.aborted) log.warn({ error }, 'could not renew the certificate');
      return false;
    }
  }

  get #signal(): { readonly signal: AbortSignal } {
    return { signal: this.#stopping.signal };
  }

  async #renew(role: Role | undefined): Promise<void> {
    const { security, approach, headers, env, log } = this.#options;
    const before = security.identity;
    const issued = await requestCertificate({
      approach: (attempt) => approach(attempt, security.identity),
      token: '',
      availability: NodeSpecAvailability.ACTIVE,
      pauseMs: 0,
      log,
      signal: this.#stopping.signal,
    });
    const { rootPem } = security.credentials;
    const next = readIdentity({ ...issued, rootPem }, env.nowMs());
    if (role !== undefined && next.role !== role) {
      throw new CertificateError(`expected a certificate for ${role}, got one for ${next.role}`);
    }
    await security.renew(issued, env.nowMs(), headers);
    log.info({ role: next.role, was: before.role }, 'renewed the node certificate');
  }
}
