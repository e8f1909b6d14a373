/**
 * Passing calls on from a manager that does not lead to the one that does (behaviour 3.8).
 *
 * Messages go through as bytes, at the pace of the slower side; whichever side ends a call ends it for
 * the other. The leader sees the caller in metadata and authorises it there. A call over the control
 * socket goes as this manager's own. Nothing is passed on twice.
 */
import { SERVICES } from '../../shared/wire/gen/services.ts';
import { HealthCheckResponseServingStatus } from '../../shared/wire/gen/health.ts';
import { authoriseForwarder, type Policy } from './authorise.ts';
import type { ChannelCall } from './channel-call.ts';
import { type CallOptions, cancelled, messagesOf, onlyAnswer } from './client.ts';
import { Code, RpcError } from './errors.ts';
import { type Leader, LeaderChannel } from './leader-channel.ts';
import type { Credentials } from './listener.ts';
import { type Entrance, goesToLeader, isRepeatable } from './relay-routes.ts';
import type { Method, Relay, RelayContext } from './service.ts';

export type { Leader } from './leader-channel.ts';

type RelayLimits = { readonly [K in keyof typeof RELAY_LIMITS]: number };

const RELAY_LIMITS = {
  /** A call without a leader looks for one this often, if nobody tells it. */
  leaderPollMs: 1000,
  /** A call whose connection failed looks for a leader that serves this often. */
  healthPollMs: 500,
  /** What a leader asked for its health gets to answer. */
  healthTimeoutMs: 2000,
} as const;

export type RelayOptions = {
  /**
   * Who leads, as far as this manager knows; `self` once this manager's own services may answer. Its
   * errors become the answer (an RpcError says that this manager is no member).
   */
  readonly leader: () => Leader | undefined;
  /** This manager's certificate at the moment; the same object until it is renewed. */
  readonly credentials: () => Credentials;
  /** As the TCP listener has it: tells a manager that passes calls on from one who only says so. */
  readonly policy: Policy;
  /** How long a call waits for a leader, or for one that it can reach: ten ticks. */
  readonly patienceMs: number;
  /** True when it is known that no leader will come soon, so that waiting is useless. */
  readonly hasLostQuorum?: () => boolean;
  /** Only tests have other limits. */
  readonly limits?: Partial<RelayLimits>;
};

const NO_LEADER =
  "The swarm does not have a leader. It's possible that too few managers are online. " +
  'Make sure more than half of the managers are online.';

const stopping = (): RpcError => new RpcError(Code.UNAVAILABLE, 'this manager is stopping');

/** The call did not get through; `unsent` when it has surely not been carried out. */
class PassFailed extends Error {
  override readonly name = 'PassFailed';
  readonly status: RpcError;
  readonly unsent: boolean;

  constructor(status: RpcError, unsent: boolean) {
    super(status.message);
    this.status = status;
    this.unsent = unsent;
  }
}

const REDIRECTED = 'more than one redirect to leader from: ';

/**
 * The manager that was asked leads no more, or not yet, and did nothing: while leaders change, two
 * managers may differ on who leads.
 */
const isRedirectRefusal = (error: RpcError): boolean =>
  error.code === Code.RESOURCE_EXHAUSTED && error.message.startsWith(REDIRECTED);

type Metadata = NonNullable<CallOptions['metadata']>;

/** A call on its way through. */
type Passage = {
  readonly method: Method;
  /** A list when the caller sends one message: it may be sent again. */
  readonly requests: AsyncIterable<Uint8Array> | readonly Uint8Array[];
  readonly metadata: Metadata;
  readonly context: RelayContext;
};

/**
 * Refuses a call that another manager has passed on already, and one that only claims so.
 *
 * A Go follower sends no `redirect` over TCP: its other marks tell just as well.
 */
function assertFirstHop(entrance: Entrance, context: RelayContext, policy: Policy): void {
  const { header, peer } = context;
  const redirects = header('redirect');
  const forwarded = entrance === 'tcp' && header('forwarded_cert').length > 0;
  if (forwarded) authoriseForwarder(peer, policy);
  if (redirects.length === 0 && !forwarded) return;
  const from = (redirects.length > 0 ? redirects : header('remote_addr')).join(' ');
  throw new RpcError(Code.RESOURCE_EXHAUSTED, `${REDIRECTED}[${from}]`);
}

/** What the leader is told of the caller: over the control socket it is this manager itself. */
function metadataOf(entrance: Entrance, { peer }: RelayContext): Metadata {
  if (entrance === 'socket') return { redirect: peer.address };
  const { identity, address } = peer;
  const roles = identity?.roles ?? [];
  return {
    redirect: address,
    forwarded_cert: 'true',
    // Empty for a caller without a certificate; the leader relies on their presence.
    forwarded_cert_cn: identity?.nodeId ?? '',
    forwarded_cert_org: identity?.organization ?? '',
    ...(roles.length === 0 ? {} : { forwarded_cert_ou: roles }),
    remote_addr: address,
  };
}

const isStream = (method: Method): boolean => method.requestStream || method.responseStream;

/** Sends all messages of the caller; never rejects, since a call that cannot go on is cancelled. */
async function upload(call: ChannelCall, { method, requests }: Passage): Promise<void> {
  try {
    for await (const message of requests) {
      if (call.outcome !== undefined) return;
      if (!method.requestStream) return call.finish(message);
      if (!call.send(message)) await call.room();
    }
    if (call.outcome === undefined) call.finish();
  } catch {
    // The caller has broken off; its own status is made where its connection ends.
    call.cancel(cancelled());
  }
}

/** Carries a call's messages both ways until it is over. */
async function exchange(call: ChannelCall, passage: Passage): Promise<Buffer | undefined> {
  const { method, context } = passage;
  // Not awaited: the leader may answer before the caller has sent everything.
  void upload(call, passage);
  try {
    if (!method.responseStream) return await onlyAnswer(call);
    for await (const message of messagesOf(call)) await context.write(message);
    return undefined;
  } finally {
    call.cancel(cancelled());
  }
}

export class LeaderRelay {
  readonly #options: RelayOptions;
  readonly #limits: RelayLimits;
  readonly #channel = new LeaderChannel();
  readonly #closing = new AbortController();
  readonly #sleepers = new Set<() => void>();
  /** Streams that are being passed on. */
  readonly #streams = new Set<ChannelCall>();
  readonly #relays: Readonly<Record<Entrance, Relay>>;

  constructor(options: RelayOptions) {
    this.#options = options;
    this.#limits = { ...RELAY_LIMITS, ...options.limits };
    const relayFrom = (entrance: Entrance): Relay => ({
      relay: (method, requests, context) => this.#relay(entrance, method, { requests, context }),
    });
    this.#relays = { tcp: relayFrom('tcp'), socket: relayFrom('socket') };
  }

  /** The `route` of a listener. */
  route(entrance: Entrance): (method: Method) => Relay | undefined {
    return (method) => {
      if (!goesToLeader(method, entrance)) return undefined;
      return this.#leaderNow()?.self === true ? undefined : this.#relays[entrance];
    };
  }

  /**
   * The leader may be another, or unknown, from now on. Calls to an old one end, those that wait look
   * again. Without this they find out by polling, and streams only by their connection.
   */
  leaderChanged(): void {
    this.#channel.follow(this.#leaderNow());
    for (const wake of this.#sleepers) wake();
  }

  /** Takes no more calls, ends those that wait and all streams; the others may still be answered. */
  drain(): void {
    this.#closing.abort();
    for (const wake of this.#sleepers) wake();
    for (const call of this.#streams) call.lose(stopping());
  }

  /** Ends every call that is being passed on, and takes no more. */
  close(): void {
    this.drain();
    this.#channel.follow(undefined);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** As `leader`, but an error counts as none: whoever waits for a leader gets to hear it. */
  #leaderNow(): Leader | undefined {
    try {
      return this.#options.leader();
    } catch (error) {
      if (error instanceof RpcError) return undefined;
      throw error;
    }
  }

  async #relay(
    entrance: Entrance,
    method: Method,
    call: { readonly requests: AsyncIterable<Uint8Array>; readonly context: RelayContext },
  ): Promise<Uint8Array | undefined> {
    const { context } = call;
    const leader = await this.#untilLeader(context.signal);
    if (leader.self) return await context.here();
    assertFirstHop(entrance, context, this.#options.policy);
    const metadata = metadataOf(entrance, context);
    const requests = method.requestStream ? call.requests : await Array.fromAsync(call.requests);
    const passage = { method, requests, metadata, context };
    try {
      return await this.#pass(leader, passage);
    } catch (error) {
      if (!(error instanceof PassFailed)) throw error;
      if (isStream(method) || !(error.unsent || isRepeatable(method))) throw error.status;
      return await this.#passAgain(passage, error.status);
    }
  }

  /** Sends a unary call that did not get through once more, when there is a leader that serves. */
  async #passAgain(passage: Passage, failure: RpcError): Promise<Uint8Array | undefined> {
    const leader = await this.#untilServingLeader(passage.context.signal, failure);
    if (leader.self) return await passage.context.here();
    try {
      return await this.#pass(leader, passage);
    } catch (error) {
      throw error instanceof PassFailed ? error.status : error;
    }
  }

  async #pass(leader: Leader, passage: Passage): Promise<Buffer | undefined> {
    const { method, metadata, context } = passage;
    const call = await this.#open(leader, method, { metadata, signal: context.signal });
    if (isStream(method)) this.#streams.add(call);
    try {
      return await exchange(call, passage);
    } catch (error) {
      if (!(error instanceof RpcError)) throw error;
      const refused = isRedirectRefusal(error);
      if (refused || call.connectionLost) throw new PassFailed(error, refused);
      throw error;
    } finally {
      this.#streams.delete(call);
    }
  }

  /** @throws PassFailed unless the caller itself has given up. */
  async #open(
    leader: Leader,
    { path }: Pick<Method, 'path'>,
    options: CallOptions,
  ): Promise<ChannelCall> {
    if (this.#closing.signal.aborted) throw stopping();
    try {
      return await this.#channel.open(leader, this.#options.credentials(), { path, options });
    } catch (error) {
      if (!(error instanceof RpcError) || options.signal?.aborted === true) throw error;
      throw new PassFailed(new RpcError(Code.UNAVAILABLE, error.message), true);
    }
  }

  async #untilLeader(signal: AbortSignal): Promise<Leader> {
    const { leader: leaderOf, patienceMs, hasLostQuorum } = this.#options;
    const giveUpAtMs = performance.now() + patienceMs;
    for (;;) {
      const leader = leaderOf();
      if (leader !== undefined) return leader;
      if (hasLostQuorum?.() === true || performance.now() > giveUpAtMs) {
        throw new RpcError(Code.UNKNOWN, NO_LEADER);
      }
      await this.#sleep(this.#limits.leaderPollMs, signal);
    }
  }

  /** Another leader than the one that failed, or the same when it is back. */
  async #untilServingLeader(signal: AbortSignal, failure: RpcError): Promise<Leader> {
    const giveUpAtMs = performance.now() + this.#options.patienceMs;
    for (;;) {
      await this.#sleep(this.#limits.healthPollMs, signal);
      const leader = await this.#untilLeader(signal);
      if (leader.self || (await this.#serves(leader, signal))) return leader;
      if (performance.now() > giveUpAtMs) throw failure;
    }
  }

  async #serves(leader: Leader, signal: AbortSignal): Promise<boolean> {
    const { path, request, response } = SERVICES.Health.Check;
    const options = { signal, timeoutMs: this.#limits.healthTimeoutMs };
    try {
      const call = await this.#open(leader, { path }, options);
      call.finish(request.encode(request.create({ service: 'Raft' })));
      const answer = await onlyAnswer(call);
      if (answer === undefined) return false;
      return response.decode(answer).status === HealthCheckResponseServingStatus.SERVING;
    } catch (error) {
      if (signal.aborted) throw cancelled();
      if (error instanceof PassFailed || error instanceof RpcError) return false;
      throw error;
    }
  }

  /** Resolves after `ms`, or when the leader has changed. */
  async #sleep(ms: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = (): void => resolve();
    const timer = setTimeout(wake, ms);
    this.#sleepers.add(wake);
    signal.addEventListener('abort', wake, { once: true });
    if (!signal.aborted && !this.#closing.signal.aborted) await promise;
    clearTimeout(timer);
    this.#sleepers.delete(wake);
    signal.removeEventListener('abort', wake);
    if (signal.aborted) throw cancelled();
    if (this.#closing.signal.aborted) throw stopping();
  }
}
