/**
 * Everything that `npm test` does, fast things first: types, lint, unit and contract tests, then the
 * tests on real processes and a real Docker Engine. It stops at the first stage that fails.
 *
 * `npm test -- unit` runs one stage. A missing Docker Engine is installed where that needs nothing but
 * apt and root; elsewhere the stage says what it left out.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, globSync } from 'node:fs';
import { availableParallelism } from 'node:os';

type Stage = { readonly name: string; readonly run: () => number };

function command(program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): number {
  const { status, error } = spawnSync(program, args, {
    stdio: 'inherit',
    env: { ...process.env, ...env },
  });
  if (error !== undefined) process.stderr.write(`${program}: ${error.message}\n`);
  return status ?? 1;
}

function nodeTests(patterns: readonly string[], ...options: string[]): number {
  const files = patterns.flatMap((pattern) => globSync(pattern)).toSorted();
  return command(process.execPath, ['--test', ...options, ...files], { NODE_ENV: 'test' });
}

const PACKAGES = ['docker.io', 'iptables', 'busybox-static', 'iproute2'];

/** A Docker Engine for the end-to-end tests, which start it themselves. */
function ensureDocker(): void {
  const there = ['/usr/sbin/dockerd', '/usr/bin/dockerd', '/usr/local/bin/dockerd'].some(
    existsSync,
  );
  if (there && existsSync('/bin/busybox') && existsSync('/sbin/ip')) return;
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) {
    process.stderr.write(
      'No Docker Engine here: tests on one are skipped. They need root, dockerd, iptables, ' +
        'iproute2 and a static busybox.\n',
    );
    return;
  }
  process.stderr.write(`installing ${PACKAGES.join(' ')} for the end-to-end tests ...\n`);
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  command('apt-get', ['update', '-qq'], env);
  command('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...PACKAGES], env);
}

const unit = [
  'src/**/*.test.ts',
  'test/*.test.ts',
  'test/wire/*.test.ts',
  'test/transcripts/*.test.ts',
  'test/support/*.test.ts',
  'test/chaos/*.test.ts',
  'bench/**/*.test.ts',
];

const STAGES: readonly Stage[] = [
  { name: 'types', run: () => command('tsc', ['-p', 'tsconfig.json']) },
  {
    name: 'lint',
    run: () =>
      command('oxfmt', ['--check', '.']) ||
      command('oxlint', ['--type-aware', '--quiet']) ||
      command('knip', []),
  },
  {
    name: 'unit',
    run: () =>
      nodeTests(
        unit,
        '--test-randomize',
        `--test-concurrency=${Math.min(4, availableParallelism())}`,
      ),
  },
  { name: 'sim', run: () => nodeTests(['test/sim/*.test.ts'], '--test-concurrency=2') },
  {
    name: 'e2e',
    run: () => {
      ensureDocker();
      // One after the other: they share this machine's engine and measure what takes how long.
      return nodeTests(['test/e2e/*.test.ts'], '--test-concurrency=1');
    },
  },
];

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !STAGES.some((stage) => stage.name === name));
if (unknown.length > 0) {
  const names = STAGES.map((stage) => stage.name).join(', ');
  process.stderr.write(`no such stage: ${unknown.join(', ')}; there are ${names}\n`);
  process.exitCode = 2;
} else {
  for (const stage of STAGES.filter((s) => wanted.length === 0 || wanted.includes(s.name))) {
    process.stdout.write(`\n== ${stage.name}\n`);
    const started = Date.now();
    const status = stage.run();
    process.stdout.write(
      `== ${stage.name}: ${status === 0 ? 'ok' : 'FAILED'} (${Math.round((Date.now() - started) / 1000)} s)\n`,
    );
    if (status === 0) continue;
    process.exitCode = status;
    break;
  }
}
