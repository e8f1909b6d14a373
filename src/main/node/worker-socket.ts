/**
 * The control socket of a node that is no manager: it can only leave. Whatever else is asked there is
 * refused in words, as a user who is on the wrong machine needs them.
 */
import { SERVICES } from '../../shared/wire/gen/services.ts';
import type { SecurityContext } from '../ca/security-context.ts';
import type { Log } from '../log.ts';
import { Code, RpcError } from '../rpc/errors.ts';
import { Health } from '../rpc/health.ts';
import { listenSocket } from '../rpc/listener.ts';
import { implement, type Implementation } from '../rpc/service.ts';

export const NOT_A_MANAGER =
  'this node is not a manager: workers cannot show or change the cluster. ' +
  'Ask a manager, or promote this node there with "skein node promote"';

const refuse = (): never => {
  throw new RpcError(Code.FAILED_PRECONDITION, NOT_A_MANAGER);
};

function refusing(name: 'Control' | 'Logs'): Implementation {
  const methods = Object.keys(SERVICES[name]).map((method) => [method, refuse]);
  return implement(name, Object.fromEntries(methods));
}

export type WorkerSocketOptions = {
  readonly path: string;
  readonly security: SecurityContext;
  readonly log: Log;
  /** Somebody on this machine wants the node to leave the cluster. */
  readonly onLeave: () => void;
};

/** @throws when another process answers there, or this one may not make a socket there */
export async function listenAsWorker(options: WorkerSocketOptions): Promise<AsyncDisposable> {
  const { path, security, log, onLeave } = options;
  const listener = await listenSocket({
    path,
    credentials: security.credentials,
    services: [
      new Health([]).service,
      refusing('Control'),
      refusing('Logs'),
      implement('Operations', {
        Leave: () => {
          onLeave();
          return {};
        },
        Status: refuse,
        Backup: refuse,
        RotateDataKey: refuse,
      }),
    ],
    self: () => ({ ...security.identity, remoteAddress: '' }),
    log,
  });
  const unwatch = security.watch(({ credentials }) => listener.useCredentials(credentials));
  return {
    [Symbol.asyncDispose]: async () => {
      unwatch();
      await listener.stop(ANSWER_MS);
    },
  };
}

/** For an answer that is on its way when the socket is closed. */
const ANSWER_MS = 500;
