/** Makes the manager in a directory a cluster of its own, for a test that kills it meanwhile. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { KeyFiles } from '../../ca/key-files.ts';
import { silentLog } from '../../log.ts';
import { dataKeysOf, openRaftLog } from '../data-key.ts';
import { forceNewCluster } from '../force-new-cluster.ts';

const [, , directory = ''] = process.argv;
const keys = new KeyFiles(join(directory, 'certificates'));
const dataKeys = dataKeysOf((await keys.load())?.headers ?? {});
assert.ok(dataKeys);
const raftLog = openRaftLog(join(directory, 'raft'), dataKeys);
process.stdout.write('begins\n');
const common = { raftLog, keys, address: '', log: silentLog };
const member = raftLog.member();
await forceNewCluster({
  ...common,
  nodeId: member?.nodeId ?? '',
  clusterId: 'none',
  askStatus: () => Promise.resolve([]),
});
