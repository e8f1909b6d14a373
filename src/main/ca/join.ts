/**
 * How a node gets its identity from a cluster: the root, whose digest the join token carries, and a
 * certificate for a key that never leaves the node (behaviour rules 4.2 and 4.4).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { IssuanceStatusState } from '../../shared/wire/gen/types.ts';
import type { NodeSpecAvailability } from '../../shared/wire/gen/specs.ts';
import type { Log } from '../log.ts';
import { Channel, type ChannelTarget, SERVER_NAMES } from '../rpc/client.ts';
import { Code, RpcError } from '../rpc/errors.ts';
import { CertificateError, certificateRequest, newKey } from './certificates.ts';
import { RootCa } from './root.ts';
import { digestHex, parseJoinToken, rootHash, tokenDigest } from './tokens.ts';

const JOIN_LIMITS = {
  attemptsMax: 5,
  attemptPauseMs: 2000,
  rpcTimeoutMs: 5000,
  pollBaseMs: 1000,
  pollCapMs: 30_000,
} as const;

/** What an attempt may change between tries, shared by both calls below. */
type Retrying = {
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Between attempts; default 2 s. */
  readonly pauseMs?: number;
};

/** Statuses that another attempt cannot better: the token or request itself is refused. */
const FINAL_CODES: ReadonlySet<Code> = new Set([Code.INVALID_ARGUMENT, Code.PERMISSION_DENIED]);

const isFinal = (error: unknown): boolean =>
  error instanceof CertificateError || (error instanceof RpcError && FINAL_CODES.has(error.code));

/** Tries up to five times; what cannot succeed is not tried again. */
async function withAttempts<T>(
  what: string,
  { log, signal, pauseMs = JOIN_LIMITS.attemptPauseMs }: Retrying,
  attempt: (number: number) => Promise<T>,
): Promise<T> {
  for (let number = 1; ; number += 1) {
    try {
      return await attempt(number);
    } catch (error) {
      signal.throwIfAborted();
      if (number >= JOIN_LIMITS.attemptsMax || isFinal(error)) throw error;
      log.warn({ error, attempt: number }, `could not ${what}; trying again`);
    }
    await sleep(pauseMs, undefined, { signal });
  }
}

export type FetchRootOptions = Retrying & {
  /** `host:port` of any manager. */
  readonly address: string;
  /** Carries the root's digest. Without a token the first root seen is believed. */
  readonly token?: string;
};

function checkDigest(rootPem: string, token: string | undefined): void {
  if (token === undefined || token === '') return;
  const { digest } = parseJoinToken(token);
  if (tokenDigest(rootPem) === digest) return;
  throw new CertificateError(
    `remote CA does not match fingerprint. Expected: ${digestHex(digest)}`,
  );
}

/**
 * Downloads the cluster's root from an unverified manager and holds it against the token.
 *
 * @throws TokenError; CertificateError `remote CA does not match fingerprint. Expected: …`; RpcError.
 */
export async function fetchRoot(options: FetchRootOptions): Promise<RootCa> {
  if (options.token !== undefined && options.token !== '') parseJoinToken(options.token);
  using channel = new Channel({ to: 'anyone', address: options.address });
  const { signal } = options;
  // Awaited here: the channel must live until then.
  return await withAttempts('download the root certificate', options, async () => {
    const call = { signal, timeoutMs: JOIN_LIMITS.rpcTimeoutMs };
    const { certificate } = await channel.service('CA').GetRootCACertificate({}, call);
    const rootPem = Buffer.from(certificate).toString();
    checkDigest(rootPem, options.token);
    options.log.debug({ root: rootHash(rootPem) }, 'downloaded the root certificate');
    return RootCa.parse(rootPem);
  });
}

/** How to reach a manager for an attempt; may differ from attempt to attempt. */
export type Approach = (attempt: number) => ChannelTarget;

export type CertificateOptions = Retrying & {
  /** Where to ask. A renewal names the node's identity in the target, a first request does not. */
  readonly approach: Approach;
  /** Empty for a renewal. */
  readonly token: string;
  readonly availability: NodeSpecAvailability;
};

/** The usual way for a first request: no certificate, and a server that must be a CA. */
export const joinApproach =
  (address: string, rootPem: string): Approach =>
  () => ({ to: 'manager', address, rootPem, serverName: SERVER_NAMES.CA });

export type IssuedCertificate = { readonly certificatePem: string; readonly keyPem: string };

const FINISHED: ReadonlySet<IssuanceStatusState> = new Set([
  IssuanceStatusState.ISSUED,
  IssuanceStatusState.ROTATE,
]);

/** Whether a failed status call says "not yet" rather than "no". */
const isNotYet = (error: unknown): boolean =>
  error instanceof RpcError && error.code === Code.DEADLINE_EXCEEDED;

async function untilIssued(
  channel: Channel,
  nodeId: string,
  csr: Uint8Array,
  signal: AbortSignal,
): Promise<string> {
  const { NodeCertificateStatus } = channel.service('NodeCA');
  const call = { signal, timeoutMs: JOIN_LIMITS.rpcTimeoutMs };
  for (let waitMs: number = JOIN_LIMITS.pollBaseMs; ; waitMs *= 2) {
    try {
      const { status, certificate } = await NodeCertificateStatus({ nodeId }, call);
      const state = status?.state ?? IssuanceStatusState.UNKNOWN;
      if (state === IssuanceStatusState.FAILED) {
        throw new CertificateError(`the certificate was refused: ${status?.err ?? ''}`);
      }
      // A reply to an earlier request of this node carries that request.
      if (FINISHED.has(state) && certificate && Buffer.from(certificate.csr).equals(csr)) {
        return Buffer.from(certificate.certificate).toString();
      }
    } catch (error) {
      if (!isNotYet(error)) throw error;
    }
    await sleep(Math.min(waitMs, JOIN_LIMITS.pollCapMs), undefined, { signal });
  }
}

/**
 * Asks a cluster for a certificate for a fresh key; the caller verifies and keeps it.
 *
 * @throws RpcError, e.g. InvalidArgument `A valid join token is necessary to join this cluster`;
 * CertificateError when the signer refused.
 */
export async function requestCertificate(options: CertificateOptions): Promise<IssuedCertificate> {
  const keyPem = await newKey();
  const csr = Buffer.from(certificateRequest(keyPem));
  const { token, availability, signal } = options;
  return withAttempts('get a certificate', options, async (attempt) => {
    using channel = new Channel(options.approach(attempt));
    const request = { csr, token, availability };
    const call = { signal, timeoutMs: JOIN_LIMITS.rpcTimeoutMs };
    const { nodeId } = await channel.service('NodeCA').IssueNodeCertificate(request, call);
    return { certificatePem: await untilIssued(channel, nodeId, csr, signal), keyPem };
  });
}
