/**
 * The control service on a real store over a log in memory, called as if over the wire, with the rest
 * of the manager made up by the test.
 */
import assert from 'node:assert/strict';
import type { Env } from '../../../shared/kit/env.ts';
import { SERVICES } from '../../../shared/wire/gen/services.ts';
import type { ManagerStatus } from '../../../shared/wire/gen/types.ts';
import type { Codec, Init } from '../../../shared/wire/runtime.ts';
import type { Caller } from '../../rpc/authorise.ts';
import { type Code, RpcError, statusOf } from '../../rpc/errors.ts';
import type { CallContext } from '../../rpc/live-calls.ts';
import { Encoded, implement, type RequestOf, type ResponseOf } from '../../rpc/service.ts';
import { type MemoryStore, openMemoryStore } from '../../store/testing/memory-log.ts';
import type { Transaction } from '../../store/transaction.ts';
import type { ControlContext } from '../context.ts';
import { controlHandlers } from '../control.ts';

type Methods = (typeof SERVICES)['Control'];
export type MethodName = keyof Methods;
type AnyMethod = { readonly request: Codec<unknown>; readonly response: Codec<unknown> };
type AnyHandler = (request: unknown, caller: Caller, call: CallContext) => unknown;

/** A call as a client sees it when it is turned down. */
export type Refused = { readonly code: Code; readonly text: string };

const CALLER: Caller = {
  nodeId: 'manager',
  organization: 'cluster',
  roles: ['swarm-manager'],
  remoteAddress: '127.0.0.1:1',
  local: true,
  forwardedBy: undefined,
};

export class Bench {
  readonly memory: MemoryStore;
  readonly context: ControlContext;
  /** Raft members by node id. */
  readonly members = new Map<string, ManagerStatus>();
  /** Whether raft could do without any one of them. */
  isQuorumSafe = true;
  /** Who is in the way of a removal. */
  missing = '';
  nowMs = 1_700_000_000_000;
  turns = 0;
  #ids = 0;
  #keys = 0;
  readonly #handlers: ReadonlyMap<string, AnyHandler>;

  constructor() {
    const env: Env = {
      nowMs: () => this.nowMs,
      randBelow: () => 0,
      newId: () => `id${String((this.#ids += 1)).padStart(23, '0')}`,
    };
    this.memory = openMemoryStore(env);
    this.context = {
      store: this.memory.store,
      env,
      members: {
        byNode: (nodeId) => this.members.get(nodeId),
        judgeRemoval: () => ({ allowed: this.isQuorumSafe, missing: this.missing }),
      },
      keys: {
        newJoinToken: (rootPem, fips) => `token-${rootPem}-${fips}-${(this.#keys += 1)}`,
        newUnlockKey: () => Uint8Array.of((this.#keys += 1)),
      },
      hasSecretDriver: (name) => name === 'vault',
      nextTurn: () => {
        this.turns += 1;
        return Promise.resolve();
      },
    };
    const { methods } = implement('Control', controlHandlers(this.context));
    this.#handlers = new Map(
      methods.map(({ method, handler }) => [method.path.replace(/.*\//, ''), handler]),
    );
  }

  /** Calls a method; request and response are encoded and decoded on the way. */
  call<K extends MethodName>(
    name: K,
    init: Init<RequestOf<Methods[K]>>,
  ): Promise<ResponseOf<Methods[K]>>;
  async call(name: MethodName, init: object): Promise<unknown> {
    const method: AnyMethod = SERVICES.Control[name];
    const request = method.request.decode(method.request.encode(method.request.create(init)));
    const handler: AnyHandler | undefined = this.#handlers.get(name);
    assert.ok(handler, `${name} has no handler`);
    const answer = await handler(request, CALLER, new AbortController());
    const bytes = answer instanceof Encoded ? answer.bytes : method.response.encode(answer);
    return method.response.decode(bytes);
  }

  /** How the call is turned down; `undefined` when it is not. */
  async refusal<K extends MethodName>(
    name: K,
    init: Init<RequestOf<Methods[K]>>,
  ): Promise<Refused | undefined> {
    try {
      await this.call(name, init);
      return undefined;
    } catch (error) {
      if (!(error instanceof RpcError) && !(error instanceof Error && 'code' in error)) throw error;
      const { code, text } = statusOf(error);
      return { code, text };
    }
  }

  /** Writes around the service, as other parts of the manager do. */
  write<T>(fn: (tx: Transaction) => T): Promise<T> {
    return this.memory.store.update(fn);
  }
}
