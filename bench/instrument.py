#!/usr/bin/env python3
"""What counting and timing cost: the build that books every launch against the one that does not,
in alternation. Each pair decodes the same tokens with both, in turns of order; the figure is the
median ratio over pairs with its 95 % confidence interval by order statistics.
Usage: bench/instrument.py [MODEL [PAIRS [TOKENS]]], after `make CONFIG=nocount` and `make`."""
import json
import math
import statistics
import subprocess
import sys

MODEL = sys.argv[1] if len(sys.argv) > 1 else "smollm2-135m"
PAIRS = int(sys.argv[2]) if len(sys.argv) > 2 else 40
TOKENS = int(sys.argv[3]) if len(sys.argv) > 3 else 50
BUILDS = {"counting": "build/release/rbench", "bare": "build/nocount/rbench"}


def decode_ns(build):
    line = [BUILDS[build], MODEL, "-p", "0", "-n", str(TOKENS), "-r", "1", "--no-roofs", "-o", "json"]
    out = subprocess.run(line, check=True, capture_output=True, text=True).stdout
    return json.loads(out)[0]["samples_ns"][0]


def interval(sorted_x):
    """Ranks k and n + 1 - k that hold the median with at least 95 %."""
    n, tail, k = len(sorted_x), 0.0, 0
    while k < n and (tail := tail + math.comb(n, k) / 2**n) <= 0.025:
        k += 1
    return (sorted_x[k - 1], sorted_x[n - k]) if k else (math.nan, math.nan)


def main():
    ratios = []
    for pair in range(PAIRS):
        order = ["counting", "bare"] if pair % 2 else ["bare", "counting"]
        ns = {build: decode_ns(build) for build in order}
        ratios.append(ns["counting"] / ns["bare"])
    low, high = interval(sorted(ratios))
    print(f"{MODEL}: {PAIRS} pairs of {TOKENS} tokens: counting costs "
          f"{100 * (statistics.median(ratios) - 1):+.2f} % "
          f"(95 % CI {100 * (low - 1):+.2f} to {100 * (high - 1):+.2f} %)")


if __name__ == "__main__":
    main()
