#!/usr/bin/env python3
"""Holds modelled DRAM traffic against a simulated cache: valgrind's cachegrind, which knows each load and
store of the real kernels and nothing of operands. What CALLS more launches miss in its last level, times
the line, is compared with what the model says that as many fetch (reads and lines that stores need first;
the simulator counts no write-backs). Exit 1 if a case is off by more than its tolerance.

    tests/validate/validate.py build/release/tests/validate/validate
"""

import json
import os
import re
import subprocess
import sys
import tempfile

LINE = 64
FEW, MORE = 2, 6  # calls of the two runs; the first of them fill the cache
STREAM, WHOLE = 3, 10  # per cent: kernels that stream, whole decode steps

# name, last level in bytes, ways, tolerance, what validate.c is asked for
CASES = [
    ("matmul f32, decode", 1 << 20, 16, STREAM, "kernel matmul f32 2048 1024 1"),
    ("matmul q8_0, decode", 1 << 20, 16, STREAM, "kernel matmul q8_0 4096 2048 1"),
    ("matmul q4_K, decode", 1 << 20, 16, STREAM, "kernel matmul q4_K 4096 2048 1"),
    ("matmul q8_0, resident", 16 << 20, 16, STREAM, "kernel matmul q8_0 4096 1024 1"),
    ("matmul q8_0, 32 tokens", 1 << 20, 16, STREAM, "kernel matmul q8_0 4096 1024 32"),
    ("attend f16, decode", 1 << 20, 16, STREAM, "kernel attend f16 1 8 2 64 4096"),
    ("attend f32, decode", 1 << 20, 16, STREAM, "kernel attend f32 1 8 2 64 8192"),
    ("decode step, smollm2-135m q8_0", 1 << 20, 16, WHOLE, "decode smollm2-135m q8_0 2 64"),
    ("decode step, smollm2-135m f16", 2 << 20, 16, WHOLE, "decode smollm2-135m f16 2 512"),
    ("decode step, smollm2-135m q4_0, resident", 16 << 20, 16, WHOLE,
     "decode smollm2-135m q4_0 2 64"),
]


def fail(text):
    sys.exit(f"validate: {text}")


def misses(program, calls, cache, ways, what):
    """Bytes that reads and writes miss in the last level of a whole run."""
    with tempfile.NamedTemporaryFile() as out:
        args = ["valgrind", "--tool=cachegrind", "--cache-sim=yes", f"--LL={cache},{ways},{LINE}",
                f"--cachegrind-out-file={out.name}", program, "run", str(calls), str(cache)]
        run = subprocess.run(args + what.split(), capture_output=True, text=True,
                             env={**os.environ, "RBENCH_ISA": "avx2", "OMP_NUM_THREADS": "1"})
        if run.returncode:
            fail(f"{' '.join(args)}: {run.stderr[-500:]}")
        text = out.read().decode()
    names = re.search(r"^events: (.*)$", text, re.M).group(1).split()
    sums = re.search(r"^summary: (.*)$", text, re.M).group(1).split()
    count = dict(zip(names, map(int, sums)))
    return LINE * (count["DLmr"] + count["DLmw"])


def modelled(program, calls, cache, what):
    args = [program, "model", str(calls), str(cache)] + what.split()
    out = subprocess.run(args, capture_output=True, text=True,
                         env={**os.environ, "RBENCH_ISA": "avx2"})
    if out.returncode:
        fail(f"{' '.join(args)}: {out.stderr}")
    sums = json.loads(out.stdout)
    return sums["read"] + sums["allocate"]


def main():
    if len(sys.argv) != 2:
        fail("one argument: the program that launches")
    program, bad = sys.argv[1], 0
    print("| case | cache | modelled bytes a call | simulated | off | allowed |")
    print("| :--- | ---: | ---: | ---: | ---: | ---: |")
    for name, cache, ways, tolerance, what in CASES:
        n = MORE - FEW
        model = (modelled(program, MORE, cache, what) - modelled(program, FEW, cache, what)) / n
        real = (misses(program, MORE, cache, ways, what) -
                misses(program, FEW, cache, ways, what)) / n
        # what fits moves nothing but odd lines: held against the cache then
        off = 100 * (model - real) / max(real, cache / 10)
        bad += abs(off) > tolerance
        print(f"| {name} | {cache >> 20} MiB | {model:.0f} | {real:.0f} | {off:+.2f} % | "
              f"{tolerance} % |", flush=True)
    if bad:
        fail(f"{bad} of {len(CASES)} cases are off")


if __name__ == "__main__":
    main()
