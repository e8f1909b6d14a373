/** The control service over a store in memory, listening on a socket: what commands are tested against. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Terminal } from '../terminal.ts';
import { testCluster } from '../../ca/testing/identities.ts';
import { newJoinToken } from '../../ca/tokens.ts';
import { controlHandlers } from '../../control/control.ts';
import { realEnv } from '../../env.ts';
import { silentLog } from '../../log.ts';
import { Role } from '../../rpc/authorise.ts';
import { listenSocket } from '../../rpc/listener.ts';
import { type Handlers, implement } from '../../rpc/service.ts';
import { openMemoryStore } from '../../store/testing/memory-log.ts';
import type { Store } from '../../store/transaction.ts';
import { Network, type Cluster, type Node } from '../../../shared/wire/gen/objects.ts';
import {
  ManagerStatus,
  NodeRole,
  RaftMemberStatusReachability,
} from '../../../shared/wire/gen/types.ts';

export type ControlSocket = AsyncDisposable & {
  readonly path: string;
  readonly store: Store;
};

/** Founding makes one, so that ports can be published. */
const INGRESS = Network.create({
  id: 'ingress0000000000000000000',
  spec: { annotations: { name: 'ingress' }, ingress: true },
});

const MANAGER_STATUS = ManagerStatus.create({
  raftId: 1n,
  addr: '10.0.0.1:2377',
  leader: true,
  reachability: RaftMemberStatusReachability.REACHABLE,
});

export type ControlSocketOptions = {
  readonly cluster?: Cluster;
  readonly nodes?: readonly Node[];
  readonly logs?: Handlers<'Logs'>;
  readonly operations?: Partial<Handlers<'Operations'>>;
};

export async function openControlSocket(
  options: ControlSocketOptions = {},
): Promise<ControlSocket> {
  const directory = await mkdtemp(join(tmpdir(), 'skein-cli-'));
  const path = join(directory, 'control.sock');
  const { store } = openMemoryStore(realEnv);
  await store.update((tx) => {
    if (options.cluster !== undefined) tx.clusters.create(options.cluster);
    tx.networks.create(INGRESS);
    for (const node of options.nodes ?? []) tx.nodes.create(node);
  });
  const managers = new Set(
    (options.nodes ?? []).filter(({ role }) => role === NodeRole.MANAGER).map(({ id }) => id),
  );
  const identities = await testCluster();
  const handlers = controlHandlers({
    store,
    env: realEnv,
    members: {
      byNode: (nodeId) => (managers.has(nodeId) ? MANAGER_STATUS : undefined),
      judgeRemoval: () => ({ allowed: true, missing: '' }),
    },
    keys: { newJoinToken, newUnlockKey: () => new Uint8Array(32) },
    hasSecretDriver: () => false,
    nextTurn: () => Promise.resolve(),
  });
  const listener = await listenSocket({
    path,
    credentials: await identities.member('manager', Role.MANAGER),
    services: [
      implement('Control', handlers),
      ...(options.logs === undefined ? [] : [implement('Logs', options.logs)]),
      implement('Operations', options.operations ?? {}),
    ],
    self: () => ({
      nodeId: 'manager',
      organization: identities.organization,
      roles: [Role.MANAGER],
      remoteAddress: '',
    }),
    log: silentLog,
  });
  return {
    path,
    store,
    [Symbol.asyncDispose]: async () => {
      await listener.stop(0);
      await rm(directory, { recursive: true });
    },
  };
}

/** A terminal that keeps what is written; `input` is its standard input. */
export class FakeTerminal implements Terminal {
  stdout = '';
  stderr = '';
  readonly live: boolean;
  readonly color = false;
  readonly columns: number | undefined;
  readonly #input: string;

  constructor({
    live = false,
    columns,
    input = '',
  }: { live?: boolean; columns?: number; input?: string } = {}) {
    this.live = live;
    this.columns = columns;
    this.#input = input;
  }

  readonly out = (text: string): void => void (this.stdout += text);
  readonly err = (text: string): void => void (this.stderr += text);
  readonly read = (): Promise<Buffer> => Promise.resolve(Buffer.from(this.#input));
}
