/** Runs a node in the foreground until it is told to stop. */
import { flushCompileCache } from 'node:module';
import { pino } from 'pino';
import { realEnv } from '../env.ts';
import { Node, type NodeOptions } from '../node/node.ts';

export type DaemonOptions = Omit<NodeOptions, 'env' | 'log' | 'onFatal' | 'onLeave'> & {
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
  const { promise: ended, resolve: end } = Promise.withResolvers<
    'leave' | 'forget' | 'stop' | 'failed'
  >();
  const onInterrupt = (): void => end('leave');
  const onTerminate = (): void => end('stop');
  process.on('SIGINT', onInterrupt);
  process.on('SIGTERM', onTerminate);
  const onFatal = (error: unknown): void => {
    log.fatal({ err: error }, 'this node cannot go on');
    end('failed');
  };
  const onLeave = (): void => end('forget');
  const node = await Node.start({ ...options, env: realEnv, log, onFatal, onLeave });
  await onStarted?.(node);
  // Otherwise written at an orderly exit only: after a crash everything would be compiled anew.
  flushCompileCache();
  const why = await ended;
  process.off('SIGINT', onInterrupt);
  process.off('SIGTERM', onTerminate);
  if (why === 'forget') await node.forget();
  else if (why === 'leave') await node.leave();
  else await node.stop();
  return why === 'failed' ? 1 : 0;
}
