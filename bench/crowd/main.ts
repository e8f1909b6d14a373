/** The process of a crowd of simulated workers; it obeys what its parent sends (`messages.ts`). */
import tls from 'node:tls';
import { fetchRoot, joinApproach, requestCertificate } from '../../src/main/ca/join.ts';
import { Pace } from '../../src/main/dispatcher/pace.ts';
import { silentLog } from '../../src/main/log.ts';
import { NodeSpecAvailability } from '../../src/shared/wire/gen/specs.ts';
import type { Credentials } from '../../src/main/rpc/listener.ts';
import type { FromCrowd, Membership, ToCrowd } from './messages.ts';
import { Tally } from './tally.ts';
import { CrowdWorker } from './worker.ts';

/**
 * What the engine offers that these workers say they are. Node would make a key of a newer kind as well
 * for each connection, which takes it longer than the rest of the handshake's beginning.
 */
tls.DEFAULT_ECDH_CURVE = 'X25519:P-256:P-384:P-521';

// Sessions fail by the thousand while a manager is away, and are not told apart by where they did.
Error.stackTraceLimit = 0;

/** Joins at the same time: more would only queue for the manager's handshakes. */
const JOINS_AT_ONCE = 10;
/** How often counts are told: often enough to time a task by them, or the return of all. */
const COUNTS_PERIOD_MS = { stays: 10, returns: 100 } as const;

const tell = (message: FromCrowd): void => void process.send?.(message);
const failed = (error: unknown): void =>
  tell({
    t: 'failed',
    text: error instanceof Error ? (error.stack ?? error.message) : String(error),
  });

/** Gives identities, one a call: made by the cluster for its token, or the one that is there. */
async function identities(
  address: string,
  membership: Membership,
): Promise<() => Promise<Credentials>> {
  if (membership.by === 'credentials') return async () => membership.credentials;
  const { token } = membership;
  const { signal } = new AbortController();
  const log = silentLog;
  const { certificatePem: rootPem } = await fetchRoot({ address, token, log, signal });
  const approach = joinApproach(address, rootPem);
  const { ACTIVE: availability } = NodeSpecAvailability;
  const options = { approach, token, availability, log, signal };
  return async () => ({ ...(await requestCertificate(options)), rootPem });
}

const tally = new Tally();
/** Attempts begin in turn, a few in each turn of this process (`worker.ts`). */
const pace = new Pace(0);
const workers: CrowdWorker[] = [];
let telling: NodeJS.Timeout | undefined;

function tellCounts(periodMs: number): void {
  clearInterval(telling);
  telling = setInterval(() => {
    const counts = tally.news();
    if (counts !== undefined) tell({ t: 'counts', counts });
  }, periodMs);
}

async function join(order: Extract<ToCrowd, { t: 'join' }>): Promise<void> {
  const { address, membership, prefix, report, returns } = order;
  tellCounts(returns ? COUNTS_PERIOD_MS.returns : COUNTS_PERIOD_MS.stays);
  const nextIdentity = await identities(address, membership);
  const numbers = Array.from({ length: order.count }, (_, i) => i).values();
  const joinNext = async (): Promise<void> => {
    for (const i of numbers) {
      const credentials = await nextIdentity();
      const hostname = `${prefix}${i}`;
      const own = { address, credentials, hostname, report, returns };
      workers.push(await CrowdWorker.start({ ...own, tally, pace, onError: failed }));
    }
  };
  await Promise.all(Array.from({ length: JOINS_AT_ONCE }, joinNext));
  tell({ t: 'joined' });
}

/** Lets tasks of all workers exit, evenly. */
function fail(count: number): void {
  let left = count;
  for (const [i, worker] of workers.entries()) {
    left -= worker.fail(Math.ceil(left / (workers.length - i)));
  }
}

async function obey(order: ToCrowd): Promise<void> {
  switch (order.t) {
    case 'join':
      return join(order);
    case 'reset':
      tally.reset();
      return tell({ t: 'done' });
    case 'beats':
      return tell({ t: 'beats', ms: tally.beatsMs });
    case 'report':
      for (const worker of workers) worker.mode = order.report;
      return tell({ t: 'done' });
    case 'lose':
      for (const worker of workers.splice(0, order.count)) worker.stop();
      return tell({ t: 'done' });
    case 'fail':
      fail(order.count);
      return tell({ t: 'done' });
    case 'leave':
      for (const worker of workers.splice(0)) worker.stop();
      if (process.connected) process.disconnect?.();
  }
}

process.on('message', (order: ToCrowd) => void obey(order).catch(failed));
process.on('disconnect', () => {
  clearInterval(telling);
  for (const worker of workers.splice(0)) worker.stop();
});
