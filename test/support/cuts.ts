/**
 * Cuts between network namespaces: what one sends does not arrive at another, without a word to
 * either. Connections stay as they are, as with a pulled cable.
 */
import { missingCommands, run } from './run.ts';
import type { Namespace } from './lab-network.ts';

/** Nothing that `from` sends arrives at `to`. */
export type Cut = { readonly from: Namespace; readonly to: Namespace };

/** Why nothing can be cut here; undefined when it can. */
export function whyNoCuts(): string | undefined {
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  const missing = missingCommands('ip', 'nsenter', 'iptables');
  return missing.length > 0 ? `this machine lacks ${missing.join(', ')}` : undefined;
}

const rule = (action: '-A' | '-D', { from, to }: Cut): void => {
  const [program = '', ...enter] = to.prefix;
  run(program, ...enter, 'iptables', '-w', action, 'INPUT', '-s', from.address, '-j', 'DROP');
};

/** @returns a function that mends all of them */
export function cut(cuts: readonly Cut[]): () => void {
  const done: Cut[] = [];
  const mend = (): void => done.splice(0).forEach((one) => rule('-D', one));
  try {
    for (const one of cuts) {
      rule('-A', one);
      done.push(one);
    }
  } catch (error) {
    mend();
    throw error;
  }
  return mend;
}
