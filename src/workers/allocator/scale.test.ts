/**
 * What a task costs must not grow with how many there are.
 *
 * Each test does the same number of things at two sizes and compares the processor time of its own
 * thread, which does not count what else the machine runs. That clock may count in steps of some
 * milliseconds, so a sample takes tens of them.
 */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { Allocator } from './core/allocator.ts';

/** The large size is so many times the small one, which is what a scan would cost more. */
const GROWTH = 10;
/** What counts as growth: well above what caches and the collector cost, well below a scan. */
const FACTOR_MAX = 4;
const ROUNDS = 5;

const NETWORK = { network: 1, name: 'web', ingress: false, granted: undefined } as const;

/** An allocator of one network, which counts how many tasks got their addresses. */
class Subject {
  readonly #allocator = new Allocator();
  #turn = 0;
  given = 0;

  constructor(subnet: string) {
    const configs = [{ subnet, range: '', gateway: '', reserved: [] }];
    this.#allocator.step([{ t: 'network', ...NETWORK, asked: { configs, vxlans: '' } }]);
  }

  /** A turn in which tasks go and others ask for addresses. */
  step(gone: Int32Array, asking: Int32Array): void {
    const nodes = new Int32Array(asking.length);
    const answers = this.#allocator.step([
      { t: 'gone', tasks: gone },
      { t: 'request', service: 0, networks: [1], wanted: [''], tasks: asking, nodes },
      { t: 'turn', turn: ++this.#turn },
    ]);
    for (const answer of answers) if (answer.t === 'tasks') this.given += answer.tasks.length;
  }
}

function taskIds(count: number): Int32Array {
  return Int32Array.from({ length: count }, (_, i) => i + 10);
}

const NONE = new Int32Array(0);

/** Gives so many tasks their addresses and takes half of them back. */
function giveAndTake(count: number): void {
  const subject = new Subject('10.0.0.0/16');
  const tasks = taskIds(count);
  subject.step(NONE, tasks);
  subject.step(tasks.subarray(0, count / 2), NONE);
  assert.equal(subject.given, count);
}

/** Ends so many tasks one by one, and serves as many, while the others wait; a new one comes for each. */
function serveOneByOne(ended: number, waiting: number): () => void {
  const subject = new Subject('10.0.0.0/24');
  const tasks = taskIds(waiting + ended);
  subject.step(NONE, tasks.subarray(0, waiting));
  const givenBefore = subject.given;
  return () => {
    for (let i = 0; i < ended; i++) {
      subject.step(tasks.subarray(i, i + 1), tasks.subarray(waiting + i, waiting + i + 1));
    }
    assert.equal(subject.given - givenBefore, ended);
  };
}

/** Processor time of this thread that the work takes. */
function costMs(work: () => void): number {
  const before = process.threadCpuUsage();
  work();
  const after = process.threadCpuUsage();
  return (after.user - before.user + after.system - before.system) / 1000;
}

/** Holds if `large` costs about what `small` costs, by the least of some rounds in turns. */
function assertLevel(t: TestContext, small: () => number, large: () => number): void {
  const least = { small: Infinity, large: Infinity };
  for (let round = 0; round < ROUNDS; round++) {
    least.small = Math.min(least.small, small());
    least.large = Math.min(least.large, large());
  }
  const said = `small: ${least.small.toFixed(1)} ms, large: ${least.large.toFixed(1)} ms`;
  t.diagnostic(said);
  assert.ok(least.large < least.small * FACTOR_MAX, said);
}

test('a task costs no more on a network of 60,000 than on one of 6,000', (t) => {
  const count = 6000;
  assertLevel(
    t,
    () =>
      costMs(() => {
        for (let i = 0; i < GROWTH; i++) giveAndTake(count);
      }),
    () => costMs(() => giveAndTake(count * GROWTH)),
  );
});

test('a task that ends costs no more where 60,000 wait for a full network than where 6,000 do', (t) => {
  const [ended, waiting] = [20_000, 6000];
  assertLevel(
    t,
    () => costMs(serveOneByOne(ended, waiting)),
    () => costMs(serveOneByOne(ended, waiting * GROWTH)),
  );
});
