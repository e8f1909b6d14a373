/** Figures of a few samples. */

export function sorted(samples: readonly number[]): number[] {
  return samples.toSorted((a, b) => a - b);
}

/** The value below which a share (0 to 1) of the samples lies; NaN without samples. */
export function quantile(samples: readonly number[], share: number): number {
  const inOrder = sorted(samples);
  const at = Math.min(inOrder.length - 1, Math.floor(inOrder.length * share));
  return inOrder[at] ?? Number.NaN;
}

export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5);
}

/** Three figures that matter, in as few characters as they need: `12.3M`, `850k`, `0.042`. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return '-';
  const steps = [
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
  ] as const;
  for (const [size, letter] of steps) {
    if (Math.abs(value) >= size) return `${figures(value / size)}${letter}`;
  }
  return figures(value);
}

function figures(value: number): string {
  const size = Math.abs(value);
  if (size >= 100 || Number.isInteger(value)) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  return size >= 1 ? value.toFixed(2) : value.toPrecision(2);
}
