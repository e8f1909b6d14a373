/** When a node renews its certificate (behaviour rule 4.5): pure arithmetic over the given time. */
import type { Env } from '../../../shared/kit/env.ts';

const MINUTE_MS = 60_000;

export const RENEWAL_LIMITS = {
  /** Renewal falls between these parts of a certificate's life. */
  fromPercent: 50,
  toPercent: 80,
  /** Failed attempts wait twice as long each time, between these two. */
  backoffBaseMs: 5000,
  backoffCapMs: 3_600_000,
  /** A forced renewal waits so long, for the certificate status to reach every manager. */
  forcedDelayMs: 500,
} as const;

type Life = { readonly notBeforeMs: number; readonly notAfterMs: number };

/** Milliseconds from now until the certificate should be renewed: a random whole minute, or 0. */
export function renewalDelayMs(life: Life, env: Env): number {
  const minutes = Math.floor((life.notAfterMs - life.notBeforeMs) / MINUTE_MS);
  const from = Math.floor((minutes * RENEWAL_LIMITS.fromPercent) / 100);
  const to = Math.floor((minutes * RENEWAL_LIMITS.toPercent) / 100);
  const at = life.notBeforeMs + (from + env.randBelow(Math.max(1, to - from))) * MINUTE_MS;
  return Math.max(0, at - env.nowMs());
}

/** How long to wait after `failures` failed attempts in a row (1 or more). */
export function backoffMs(failures: number): number {
  const doubled = RENEWAL_LIMITS.backoffBaseMs * 2 ** Math.min(failures - 1, 20);
  return Math.min(doubled, RENEWAL_LIMITS.backoffCapMs);
}
