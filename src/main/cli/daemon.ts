/** Runs a node in the foreground until it is told to stop. */
import { pino } from 'pino';
import { realEnv } from '../env.ts';
import { Node, type NodeOptions } from '../node/node.ts';

export type DaemonOptions = Omit<NodeOptions, 'env' | 'log' | 'onFatal'> & {
  readonly logLevel: string;
  /** SIGINT ends the node's tasks too; SIGTERM leaves them running for the next start. */
  readonly onStarted?: (node: Node) => Promise<void>;
};

/** Resolves, after a clean stop, with the exit code. */
export async function runDaemon({
  logLevel,
  onStarted,
  ...options
}: DaemonOptions): Promise<number> {
  const log = pino(
    { level: logLevel, base: null, serializers: { error: pino.stdSerializers.err } },
    pino.destination({ dest: 2, sync: true }),
  );
  const { promise: ended, resolve: end } = Promise.withResolvers<'leave' | 'stop' | 'failed'>();
  const onInterrupt = (): void => end('leave');
  const onTerminate = (): void => end('stop');
  process.on('SIGINT', onInterrupt);
  process.on('SIGTERM', onTerminate);
  const onFatal = (error: unknown): void => {
    log.fatal({ err: error }, 'this node cannot go on');
    end('failed');
  };
  const node = await Node.start({ ...options, env: realEnv, log, onFatal });
  await onStarted?.(node);
  const why = await ended;
  process.off('SIGINT', onInterrupt);
  process.off('SIGTERM', onTerminate);
  if (why === 'leave') await node.leave();
  else await node.stop();
  return why === 'failed' ? 1 : 0;
}
