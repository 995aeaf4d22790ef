#!/usr/bin/env python3
"""Compares the logits of `rbench eval` with llama.cpp's on small random models of every family.

usage: compare_llamacpp_families.py [--rbench PATH]

rbench writes each model itself (f32 weights, so that engines are compared and not roundings) and both
read the file: llama.cpp in one batch, rbench in one prefill and decode steps, latent attention in each
of its orders. llama.cpp looks GELU up in a table of f16, which shows in gptneox. Where the Python
packages llama-cpp-python and gguf are missing it says "skipped" and exits 0; a disagreement exits 1.
"""
import argparse
import importlib.util
import os
import subprocess
import sys
import tempfile

import compare_llamacpp as one

TOLERANCE = 1e-5  # of the largest logit of the position (7e-7 seen)
TABLE_OF_F16 = 1e-3
SHAPE = "n_layer=2 n_embd=64 n_ff=96 n_vocab=300 n_head=4 n_ctx=512"
GQA = "n_head_kv=2"
MOE = "n_expert=6 n_expert_used=2 n_ff_expert=32"
MLA = "kv_lora_rank=32 d_head_k=24 d_rot=8 d_head_v=16"
YARN = "rope_scaling=yarn rope_factor=4 rope_n_ctx=64"
ORDERS = ["mla", "mla-naive-full", "mla-naive-latent", "mla-absorbed"]

FAMILIES = {
    "llama": (f"arch=llama {GQA}", None, TOLERANCE),
    "llama, experts": (f"arch=llama {GQA} n_expert=6 n_expert_used=2 n_ff_expert=96", None, TOLERANCE),
    "qwen2, YaRN": (f"arch=qwen2 {GQA} {YARN}", None, TOLERANCE),
    "qwen3": (f"arch=qwen3 {GQA}", None, TOLERANCE),
    "qwen2moe": (f"arch=qwen2moe {GQA} {MOE} n_ff_shared=64", None, TOLERANCE),
    "qwen3moe": (f"arch=qwen3moe {GQA} {MOE}", None, TOLERANCE),
    "gptneox, parallel": ("arch=gptneox d_rot=8 parallel_residual=true", None, TABLE_OF_F16),
    "gptneox, sequential": ("arch=gptneox d_rot=8", None, TABLE_OF_F16),
    "plm": (f"arch=plm {MLA} tied=true", ORDERS, TOLERANCE),
    "deepseek2, YaRN, experts": (
        f"arch=deepseek2 {MLA} {MOE} {YARN} mla_split=true q_lora_rank=32 n_ff_shared=64 "
        "n_dense_lead=1 rope_log_mul=0.0707", ORDERS, TOLERANCE),
    "deepseek2, sigmoid": (
        f"arch=deepseek2 {MLA} {MOE} mla_split=true q_lora_rank=32 gating=sigmoid expert_bias=true "
        "expert_renorm=true expert_scale=2.5 n_ff_shared=32", ORDERS, TOLERANCE),
}


def synthesise(rbench, path, keys):
    words = [w for key in f"{SHAPE} {keys}".split() for w in ("--set", key)]
    run = subprocess.run([rbench, "synth", *words, "--type", "f32", "-o", path],
                         stderr=subprocess.PIPE, text=True, check=False)
    if run.returncode != 0:
        sys.exit(f"rbench synth: {run.stderr.strip()}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    parser.add_argument("--rbench", default=os.path.join(root, "rbench"))
    args = parser.parse_args()
    for package in ("llama_cpp", "gguf"):
        if not importlib.util.find_spec(package):
            one.skip(f"the Python package {package} is not installed")
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, (keys, orders, tolerance) in FAMILIES.items():
            path = os.path.join(folder, "model.gguf")
            synthesise(args.rbench, path, keys)
            tokens, theirs = one.logits_of_llamacpp(path)
            for order in orders or [None]:
                os.environ.pop("RBENCH_ARG_ATTN", None)
                if order:
                    os.environ["RBENCH_ARG_ATTN"] = order
                ours = one.logits_of_rbench(args.rbench, path, tokens)
                off = max(one.distance(a, b) / max(map(abs, b)) for a, b in zip(ours, theirs))
                bad += not off <= tolerance
                print(f"{name}{', ' + order if order else ''}: largest |dlogit| / max |logit| "
                      f"{off:.1e}{'' if off <= tolerance else ' TOO FAR'}")
    if bad:
        sys.exit(f"llama.cpp and rbench disagree {bad} times")


if __name__ == "__main__":
    main()
