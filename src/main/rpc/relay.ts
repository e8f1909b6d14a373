/**
 * Where a manager answers a call: itself, itself once its state is new enough, or by passing it on to
 * the leader (behaviour 3.8).
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
import { ConfirmedAnswers, type ConfirmOptions } from './confirmed-answers.ts';
import { Code, RpcError } from './errors.ts';
import { type Leader, LeaderChannel } from './leader-channel.ts';
import type { Credentials } from './listener.ts';
import {
  type Entrance,
  isRepeatable,
  type LeaderNeeds,
  needsNoLeader,
  needsOf,
  placeOf,
} from './relay-routes.ts';
import type { Method, Relay, RelayContext } from './service.ts';
import { noLeader, stopping } from './unavailable.ts';

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

export type RelayOptions = ConfirmOptions & {
  /**
   * Who leads, as far as this manager knows; `self` once this manager's own services may answer. Its
   * errors become the answer (an RpcError says that this manager is no member).
   */
  readonly leader: (needs: LeaderNeeds) => Leader | undefined;
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
  readonly entrance: Entrance;
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
  readonly #answers: ConfirmedAnswers;
  readonly #channel = new LeaderChannel();
  readonly #closing = new AbortController();
  readonly #sleepers = new Set<() => void>();
  /** Streams that are being passed on. */
  readonly #streams = new Set<ChannelCall>();
  readonly #relays: Readonly<Record<Entrance, Relay>>;

  constructor(options: RelayOptions) {
    this.#options = options;
    this.#limits = { ...RELAY_LIMITS, ...options.limits };
    this.#answers = new ConfirmedAnswers(options);
    const relayFrom = (entrance: Entrance): Relay => ({
      relay: (method, requests, context) => this.#relay(entrance, method, { requests, context }),
    });
    this.#relays = { tcp: relayFrom('tcp'), socket: relayFrom('socket') };
  }

  /** The `route` of a listener. */
  route(entrance: Entrance): (method: Method) => Relay | undefined {
    return (method) => {
      const { at, confirmed } = placeOf(method, entrance);
      const isHere = at === 'here' || this.#leaderNow(needsOf(method))?.self === true;
      if (!isHere) return this.#relays[entrance];
      return confirmed === 'nothing' ? undefined : this.#answers.relays[confirmed];
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
    this.#answers.close();
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
  #leaderNow(needs: LeaderNeeds = 'parts'): Leader | undefined {
    try {
      return this.#options.leader(needs);
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
    const leader = await this.#findLeader(method, context.signal);
    if (leader === undefined) {
      if (needsNoLeader(method)) return await context.here();
      throw noLeader();
    }
    if (leader.self) return await this.#answerHere(entrance, method, context);
    assertFirstHop(entrance, context, this.#options.policy);
    const metadata = metadataOf(entrance, context);
    const requests = method.requestStream ? call.requests : await Array.fromAsync(call.requests);
    const passage = { entrance, method, requests, metadata, context };
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
    const leader = await this.#untilServingLeader(passage, failure);
    if (leader.self)
      return await this.#answerHere(passage.entrance, passage.method, passage.context);
    try {
      return await this.#pass(leader, passage);
    } catch (error) {
      throw error instanceof PassFailed ? error.status : error;
    }
  }

  /** This manager has come to lead since the call came in. */
  #answerHere(
    entrance: Entrance,
    method: Method,
    context: RelayContext,
  ): Promise<Uint8Array | undefined> {
    const { confirmed } = placeOf(method, entrance);
    return confirmed === 'nothing' ? context.here() : this.#answers.answer(confirmed, context);
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

  async #untilLeader(method: Method, signal: AbortSignal): Promise<Leader> {
    const leader = await this.#findLeader(method, signal);
    if (leader === undefined) throw noLeader();
    return leader;
  }

  /** Undefined when none comes in time. */
  async #findLeader(method: Method, signal: AbortSignal): Promise<Leader | undefined> {
    const { leader: leaderOf, patienceMs, hasLostQuorum } = this.#options;
    const giveUpAtMs = performance.now() + patienceMs;
    for (;;) {
      const leader = leaderOf(needsOf(method));
      if (leader !== undefined) return leader;
      if (hasLostQuorum?.() === true || performance.now() > giveUpAtMs) return undefined;
      await this.#sleep(this.#limits.leaderPollMs, signal);
    }
  }

  /** Another leader than the one that failed, or the same when it is back. */
  async #untilServingLeader({ method, context }: Passage, failure: RpcError): Promise<Leader> {
    const { signal } = context;
    const giveUpAtMs = performance.now() + this.#options.patienceMs;
    for (;;) {
      await this.#sleep(this.#limits.healthPollMs, signal);
      const leader = await this.#untilLeader(method, signal);
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
