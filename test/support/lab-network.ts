/**
 * A small network of this machine's own: one bridge, and network namespaces on it. Names and addresses
 * hold the process id, so that runs beside each other do not meet.
 */
import { networkInterfaces } from 'node:os';
import { run } from './run.ts';
import type { Undo } from './undo.ts';

export type Namespace = {
  readonly name: string;
  /** Its address on the bridge. */
  readonly address: string;
  /** Put before a command, it runs in there (with this machine's files and cgroups). */
  readonly prefix: readonly string[];
};

/** A /24 of 10.192.0.0/10 that no interface has, found from the process id on. */
function freeSubnet(): string {
  const taken = new Set(
    Object.values(networkInterfaces())
      .flatMap((list) => list ?? [])
      .map(({ address }) => address.split('.').slice(0, 3).join('.')),
  );
  for (let step = 0; step < 64 * 256; step += 1) {
    const at = (process.pid + step * 257) % (64 * 256);
    const subnet = `10.${192 + (at >> 8)}.${at & 255}`;
    if (!taken.has(subnet)) return subnet;
  }
  throw new Error('no free subnet on this machine');
}

export class LabNetwork {
  readonly #bridge = `sk${process.pid}`;
  readonly #subnet = freeSubnet();
  readonly #undo: Undo;
  #namespaces = 0;

  constructor(undo: Undo) {
    this.#undo = undo;
    undo.add('remove the bridge', () => run('ip', 'link', 'del', this.#bridge));
    run('ip', 'link', 'add', this.#bridge, 'type', 'bridge');
    run('ip', 'addr', 'add', `${this.address}/24`, 'dev', this.#bridge);
    run('ip', 'link', 'set', this.#bridge, 'up');
  }

  /** This machine's address on the bridge. */
  get address(): string {
    return `${this.#subnet}.1`;
  }

  /** A namespace with an interface `eth0` on the bridge, and this machine as its gateway. */
  namespace(): Namespace {
    const number = (this.#namespaces += 1);
    const name = `${this.#bridge}-${number}`;
    const address = `${this.#subnet}.${10 + number}`;
    const prefix = ['nsenter', `--net=/run/netns/${name}`];
    run('ip', 'netns', 'add', name);
    this.#undo.add('remove the namespace', () => run('ip', 'netns', 'del', name));
    const link = `${this.#bridge}v${number}`;
    run('ip', 'link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name);
    // Not left to the namespace: the kernel keeps that while it has unfinished connections.
    this.#undo.add('remove the link', () => run('ip', 'link', 'del', link));
    run('ip', 'link', 'set', link, 'master', this.#bridge, 'up');
    for (const command of [
      `ip addr add ${address}/24 dev eth0`,
      'ip link set eth0 up',
      'ip link set lo up',
      `ip route add default via ${this.address}`,
    ]) {
      run('nsenter', ...prefix.slice(1), ...command.split(' '));
    }
    return { name, address, prefix };
  }
}
