/** The managers that a node knows, on its disk: `state.json` (behaviour rule 12.1). */
import { open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { Peer } from '../../shared/wire/gen/types.ts';

const FILE = 'state.json';
const Peers = v.array(v.object({ node_id: v.string(), addr: v.string() }));

/** @throws with the file's path when it can't be understood */
export async function readPeers(stateDir: string): Promise<Peer[]> {
  const path = join(stateDir, FILE);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
  try {
    const peers = v.parse(Peers, JSON.parse(text));
    return peers.map((peer) => Peer.create({ nodeId: peer.node_id, addr: peer.addr }));
  } catch (error) {
    const hint = 'remove it and start again with --join-addr';
    throw new Error(`${path} is damaged: ${hint}`, { cause: error });
  }
}

/** Replaces the file; a crash leaves the old or the new one. */
export async function writePeers(stateDir: string, peers: readonly Peer[]): Promise<void> {
  const path = join(stateDir, FILE);
  const rows = peers
    .map((peer) => ({ node_id: peer.nodeId, addr: peer.addr }))
    .toSorted((a, b) => (a.node_id < b.node_id ? -1 : Number(a.node_id > b.node_id)));
  const file = await open(`${path}.new`, 'w', 0o600);
  try {
    await file.writeFile(JSON.stringify(rows));
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
}
