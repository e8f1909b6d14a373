/** Managers for tests of forwarding: real listeners and a relay, told by hand who leads. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { join } from 'node:path';
import { AssignmentsMessage } from '../../../shared/wire/gen/dispatcher.ts';
import { Node, Service } from '../../../shared/wire/gen/objects.ts';
import type { TestCluster } from '../../ca/testing/identities.ts';
import { silentLog } from '../../log.ts';
import { type Caller, type Policy, Role } from '../authorise.ts';
import { Code, RpcError } from '../errors.ts';
import { Health } from '../health.ts';
import { type Credentials, type Listener, listenSocket, listenTcp } from '../listener.ts';
import { type Leader, LeaderRelay, type RelayOptions } from '../relay.ts';
import { implement } from '../service.ts';

/** 64 KiB: what no buffer on the way holds many of. */
export const BIG = 'x'.repeat(1 << 16);

/** One manager of the tests: real listeners, a relay, and services that note who called. */
export class TestManager {
  readonly callers: Caller[] = [];
  readonly health = new Health(['Raft']);
  #onHealth: (() => void) | undefined;
  readonly relay: LeaderRelay;
  /** What this manager believes. */
  leader: Leader | undefined;
  credentials: Credentials;
  /** How this manager learns that its state is the newest. */
  readIndex: (signal: AbortSignal) => Promise<void> = () => Promise.resolve();
  /** How it learns that it leads still. */
  leadership: RelayOptions['leadership'] = () => () => Promise.resolve();
  written = 0;
  uploaded = 0;
  entered = Promise.withResolvers<void>();
  ended = Promise.withResolvers<void>();
  /** Lets the calls of a manager called `stuck` go on. */
  readonly unstick = Promise.withResolvers<void>();
  readonly nodeId: string;
  #tcp: Listener | undefined;
  #socket: Listener | undefined;

  constructor(
    nodeId: string,
    credentials: Credentials,
    policy: Policy,
    options: Partial<RelayOptions> = {},
  ) {
    this.nodeId = nodeId;
    this.credentials = credentials;
    this.health.set('Raft', true);
    this.relay = new LeaderRelay({
      leader: () => this.leader,
      credentials: () => this.credentials,
      policy,
      readIndex: (signal) => this.readIndex(signal),
      leadership: () => this.leadership(),
      patienceMs: 5000,
      limits: { leaderPollMs: 5, healthPollMs: 5 },
      ...options,
    });
  }

  static async start(
    nodeId: string,
    cluster: TestCluster,
    options: Partial<RelayOptions> & { readonly directory?: string; readonly port?: number } = {},
  ): Promise<TestManager> {
    const { directory, port, ...relayOptions } = options;
    const credentials = await cluster.member(nodeId, Role.MANAGER);
    const policy = { organization: cluster.organization, isRemoved: (id: string) => id === 'gone' };
    const manager = new TestManager(nodeId, credentials, policy, relayOptions);
    await manager.listen(policy, port ?? 0);
    if (directory !== undefined) await manager.listenOn(join(directory, `${nodeId}.sock`), cluster);
    return manager;
  }

  get address(): string {
    return this.#tcp?.address ?? assert.fail();
  }

  get socketPath(): string {
    return this.#socket?.address ?? assert.fail();
  }

  /** Resolves when somebody has asked for this manager's health three times. */
  healthAsked(): Promise<void> {
    let left = 3;
    return new Promise((resolve) => {
      this.#onHealth = () => (left -= 1) === 0 && resolve();
    });
  }

  /** As others see it. */
  get asLeader(): Leader {
    return { nodeId: this.nodeId, address: this.address, self: false };
  }

  lead(): void {
    this.follow({ ...this.asLeader, self: true });
  }

  follow(leader: Leader | undefined): void {
    this.leader = leader;
    this.relay.leaderChanged();
  }

  async listen(policy: Policy, port: number): Promise<void> {
    const route = this.relay.route('tcp');
    const common = { credentials: this.credentials, services: this.#services(), log: silentLog };
    this.#tcp = await listenTcp({ ...common, host: '127.0.0.1', port, policy, route });
  }

  async listenOn(path: string, { organization }: TestCluster): Promise<void> {
    const { nodeId, credentials } = this;
    const identity = { nodeId, organization, roles: [Role.MANAGER], remoteAddress: this.address };
    this.#socket = await listenSocket({
      path,
      credentials,
      services: this.#services(),
      log: silentLog,
      route: this.relay.route('socket'),
      self: () => identity,
    });
  }

  async stop(): Promise<void> {
    this.relay.close();
    await this.#tcp?.stop(0);
    await this.#socket?.stop(0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #services() {
    const note = (caller: Caller): void => {
      this.callers.push(caller);
      this.entered.resolve();
    };
    const { service, methods } = this.health.service;
    const watched = methods.map(({ method, handler }) => ({
      method,
      handler: (...call: Parameters<typeof handler>) => {
        this.#onHealth?.();
        return handler(...call);
      },
    }));
    return [
      { service, methods: watched },
      implement('Dispatcher', {
        Heartbeat: async ({ sessionId }, caller, { signal }) => {
          note(caller);
          if (sessionId === 'wait' || this.nodeId === 'stuck') await this.#untilAborted(signal);
          if (sessionId === 'bad') throw new RpcError(Code.INVALID_ARGUMENT, 'session invalid: ü');
          return { period: { seconds: sessionId.length, nanos: 0 } };
        },
        // Endless, as fast as its reader.
        Session: async (_request, caller, sink) => {
          note(caller);
          sink.signal.addEventListener('abort', () => this.ended.resolve());
          for (;;) {
            await sink.write({ ...SESSION, sessionId: BIG });
            this.written += 1;
          }
        },
        Assignments: async ({ sessionId }, caller, sink) => {
          note(caller);
          for (let n = 0; n < Number(sessionId); n += 1) {
            await sink.write(AssignmentsMessage.create({ resultsIn: String(n) }));
          }
          if (sessionId === '3') throw new RpcError(Code.ABORTED, 'dispatcher is stopped');
        },
      }),
      implement('LogBroker', {
        PublishLogs: async (requests, caller, { signal }) => {
          note(caller);
          signal.addEventListener('abort', () => this.ended.resolve());
          for await (const { subscriptionId, close } of requests) {
            this.uploaded += 1;
            if (close) return undefined;
            if (subscriptionId === 'unknown') throw new RpcError(Code.NOT_FOUND, 'no such thing');
            if (subscriptionId === BIG) await this.#untilAborted(signal);
          }
          return {};
        },
      }),
      this.#control(note),
      implement('NodeCA', {
        IssueNodeCertificate: async (_request, caller, { signal }) => {
          note(caller);
          if (this.nodeId === 'stuck') await this.#untilAborted(signal);
          return { nodeId: `by ${this.nodeId}`, nodeMembership: 0 };
        },
      }),
    ];
  }

  #control(note: (caller: Caller) => void) {
    return implement('Control', {
      GetService: (_request, caller) => {
        note(caller);
        return { service: Service.create({ id: `as ${this.nodeId} knows it` }) };
      },
      GetNode: (_request, caller) => {
        note(caller);
        return { node: Node.create({ id: `as ${this.nodeId} knows it` }) };
      },
      RemoveService: ({ serviceId }) => {
        throw new RpcError(Code.NOT_FOUND, `service ${serviceId} not found`);
      },
    });
  }

  async #untilAborted(signal: AbortSignal): Promise<void> {
    if (!signal.aborted) await Promise.race([once(signal, 'abort'), this.unstick.promise]);
    this.ended.resolve();
  }
}

const SESSION = {
  sessionId: '',
  node: undefined,
  managers: [],
  networkBootstrapKeys: [],
  rootCa: new Uint8Array(),
};

/** What a wire does with a new connection: joins it to the address, breaks it, or says nothing. */
type WireMode = 'joins' | 'breaks' | 'silent';

/** A wire to an address, which can be cut; one that leads nowhere breaks every connection. */
export class Wire implements AsyncDisposable {
  readonly dialled = Promise.withResolvers<void>();
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();
  mode: WireMode;

  private constructor(target: string | undefined) {
    this.mode = target === undefined ? 'breaks' : 'joins';
    this.#server = net.createServer((socket) => {
      this.dialled.resolve();
      this.#sockets.add(socket.on('error', () => undefined));
      if (this.mode === 'breaks') socket.resetAndDestroy();
      if (target === undefined || this.mode !== 'joins') return;
      this.#join(socket, net.connect(Number(target.split(':').at(-1)), '127.0.0.1'));
    });
  }

  static async to(target: string | undefined): Promise<Wire> {
    const wire = new Wire(target);
    await once(wire.#server.listen(0, '127.0.0.1'), 'listening');
    return wire;
  }

  get asLeader(): Leader {
    const address = this.#server.address();
    assert.ok(typeof address === 'object' && address !== null);
    return { nodeId: 'wired', address: `127.0.0.1:${address.port}`, self: false };
  }

  get address(): string {
    return this.asLeader.address;
  }

  /** Breaks every connection, as the end of a process does, and takes no more. */
  cut(): void {
    this.#server.close();
    this.breakAll();
  }

  /** Breaks every connection of now. */
  breakAll(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.#server.listening ? once(this.#server, 'close') : undefined;
    this.cut();
    await closed;
  }

  #join(one: net.Socket, other: net.Socket): void {
    this.#sockets.add(other.on('error', () => undefined));
    one.pipe(other).pipe(one);
  }
}
