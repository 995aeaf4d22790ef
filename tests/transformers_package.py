#!/usr/bin/env python3
"""Folders that the PyPI package `transformers` writes, against its own modelling code.

Tiny models of every family are saved by the package, in several types and forms, and `rbench eval`
must give the logits that the package computes from them in float32: prefill and decode. plm is not
in the package: ../tests/test_hf.c has it, from the reference vectors.
Usage: tests/transformers_package.py [RBENCH]   (default ./rbench). Without the packages: "skipped".
       tests/transformers_package.py --write FOLDER   writes the vectors of tests/vectors/hf.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
try:
    import torch
    import transformers
    from safetensors.torch import load_file, save_file
except ImportError as why:
    print(f"skipped: {why}")
    sys.exit(0)

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
torch.set_num_threads(1)

PROMPT = [1, 7, 39, 4, 4, 20, 11, 30, 2, 0, 17, 5]
FORCED = [9, 33, 1, 12]
SIZES = {
    "vocab_size": 40,
    "hidden_size": 24,
    "intermediate_size": 28,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
}
NEOX = {**SIZES, "num_attention_heads": 2}
GQA = {**SIZES, "num_key_value_heads": 2}
LATENT = {
    **SIZES,
    "num_key_value_heads": 4,
    "kv_lora_rank": 12,
    "q_lora_rank": None,
    "qk_nope_head_dim": 6,
    "qk_rope_head_dim": 8,
    "v_head_dim": 10,
    "moe_intermediate_size": 12,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_shared_experts": 2,
    "first_k_dense_replace": 1,
}
EXPERTS = {**GQA, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 12}
V3 = {**LATENT, "n_group": 1, "topk_group": 1}


def rope(kind, **more):
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 1e4, **more}}


def yarn(**more):
    return rope("yarn", factor=4.0, original_max_position_embeddings=8, **more)


LLAMA3 = rope(
    "llama3",
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=16,
)

# name, class of config, its arguments, how it is saved
CASES = [
    ("llama", "Llama", {**GQA, "tie_word_embeddings": True, "head_dim": 12, **LLAMA3}, {}),
    ("llama-untied", "Llama", GQA, {}),
    ("llama-mha-f16", "Llama", {**SIZES, "num_key_value_heads": None}, {"dtype": "float16"}),
    ("llama-bias-linear", "Llama", {**GQA, "attention_bias": True, **rope("linear", factor=4.0)}, {}),
    ("llama-yarn", "Llama", {**GQA, **yarn()}, {}),
    ("llama-old", "Llama", {**GQA, **LLAMA3}, {"old": True}),
    ("mistral", "Mistral", {**GQA, "sliding_window": None, "head_dim": 10}, {}),
    ("mistral-window", "Mistral", {**GQA, "sliding_window": 128}, {}),
    ("mixtral", "Mixtral", {**GQA, "num_local_experts": 4, "intermediate_size": 12}, {}),
    ("mixtral-fused", "Mixtral", {**GQA, "num_local_experts": 4}, {"fused": True}),
    ("qwen2", "Qwen2", {**GQA, "tie_word_embeddings": True}, {"dtype": "bfloat16", "shard": "12KB"}),
    ("qwen2-untied", "Qwen2", {**GQA, "head_dim": 8, **yarn(attention_factor=1.3)}, {"shard": "20KB"}),
    ("qwen2-old", "Qwen2", {**GQA, **yarn(beta_fast=16, beta_slow=2)}, {"old": True}),
    ("qwen3", "Qwen3", {**GQA, "head_dim": 16}, {}),
    ("qwen3-bias", "Qwen3", {**GQA, "head_dim": 8, "attention_bias": True, **LLAMA3}, {}),
    ("qwen2_moe", "Qwen2Moe", {**EXPERTS, "shared_expert_intermediate_size": 14}, {}),
    ("qwen3_moe", "Qwen3Moe", {**EXPERTS, "head_dim": 10, "norm_topk_prob": True}, {}),
    ("qwen3_moe-fused", "Qwen3Moe", {**EXPERTS, "norm_topk_prob": True}, {"fused": True}),
    ("gpt_neox", "GPTNeoX", {**NEOX, **rope("default", partial_rotary_factor=0.5)}, {}),
    (
        "gpt_neox-sequential",
        "GPTNeoX",
        {
            **NEOX,
            "use_parallel_residual": False,
            "hidden_act": "gelu_pytorch_tanh",
            **rope("linear", factor=2.0, partial_rotary_factor=1.0),
        },
        {},
    ),
    ("gpt_neox-old", "GPTNeoX", {**NEOX, **rope("default", partial_rotary_factor=0.34)}, {"old": True}),
    ("gpt_neox-yarn", "GPTNeoX", {**NEOX, **yarn(partial_rotary_factor=0.5)}, {}),
    ("deepseek_v2", "DeepseekV2", {**LATENT, **yarn(mscale=0.707, mscale_all_dim=0.707)}, {}),
    ("deepseek_v2-qlora", "DeepseekV2", {**LATENT, "q_lora_rank": 16, "routed_scaling_factor": 3.0}, {}),
    ("deepseek_v2-dense", "DeepseekV2", {**LATENT, "first_k_dense_replace": 2}, {}),
    (
        "deepseek_v3",
        "DeepseekV3",
        {**V3, "q_lora_rank": 16, "n_shared_experts": 1, **yarn(mscale=1.0, mscale_all_dim=1.0)},
        {},
    ),
    ("deepseek_v3-halves", "DeepseekV3", {**V3, "rope_interleave": False}, {}),
    ("deepseek_v3-old", "DeepseekV3", {**V3, "q_lora_rank": 16, "norm_topk_prob": False}, {"old": True}),
]
# Of these tests/vectors/hf has a folder each, as bfloat16.
VECTORS = {name for name, *_ in CASES if "-" not in name} | {
    "llama-bias-linear",
    "gpt_neox-sequential",
    "deepseek_v3-halves",
}


def make_model(kind, arguments):
    """A model whose every weight matters."""
    config = getattr(transformers, kind + "Config")(**arguments)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    torch.manual_seed(11)
    with torch.no_grad():
        for name, x in list(model.named_parameters()) + list(model.named_buffers()):
            if "inv_freq" in name:
                continue
            if "norm" in name and name.endswith("weight"):
                x.copy_(1 + torch.randn(x.shape) / 4)
            elif x.ndim == 1:
                x.copy_(torch.randn(x.shape) / 2)
            else:
                x.copy_(torch.randn(x.shape) * (1.5 / x.shape[-1] ** 0.5))
    return model.eval()


def to_old_keys(path):
    """Writes config.json as transformers 4 did, and buffers that its files had."""
    name = os.path.join(path, "config.json")
    with open(name) as f:
        config = json.load(f)
    parameters = config.pop("rope_parameters")
    neox = config["model_type"] == "gpt_neox"
    config["rotary_emb_base" if neox else "rope_theta"] = parameters.pop("rope_theta")
    if neox:
        config["rotary_pct"] = parameters.pop("partial_rotary_factor")
    kind = parameters.pop("rope_type")
    config["rope_scaling"] = None if kind == "default" else {"type": kind, **parameters}
    config["torch_dtype"] = config.pop("dtype")
    config.pop("head_dim", None)
    with open(name, "w") as f:
        json.dump(config, f)
    weights = load_file(os.path.join(path, "model.safetensors"))
    before = "gpt_neox.layers.0.attention" if neox else "model.layers.0.self_attn"
    weights[before + ".rotary_emb.inv_freq"] = torch.ones(4)
    if neox:
        weights[before + ".bias"] = torch.ones(1, 1, 8, 8, dtype=torch.bool)
        weights[before + ".masked_bias"] = torch.tensor(-1e9)
    save_file(weights, os.path.join(path, "model.safetensors"), metadata={"format": "pt"})


def save(path, kind, arguments, dtype="float32", shard="1GB", fused=False, old=False):
    model = make_model(kind, arguments).to(getattr(torch, dtype))
    model.save_pretrained(path, max_shard_size=shard, save_original_format=not fused)
    if old:
        to_old_keys(path)


def logits_of(path):
    """Of the whole text at once, and again token by token from the cache: they must agree."""
    model = transformers.AutoModelForCausalLM.from_pretrained(
        path, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    ids = torch.tensor([PROMPT + FORCED])
    with torch.no_grad():
        whole = model(ids).logits[0]
        generated = model.generate(ids[:, : len(PROMPT)], max_new_tokens=1, do_sample=False,
                                   output_logits=True, return_dict_in_generate=True)
    assert (generated.logits[0][0] - whole[len(PROMPT) - 1]).abs().max() < 1e-4 * whole.abs().max()
    return whole


def words(ids):
    return ",".join(map(str, ids))


def check(rbench, path, want):
    done = subprocess.run(
        [rbench, "eval", path, "--tokens", words(PROMPT), "--force", words(FORCED)],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"FAILED: {path}: exit {done.returncode}: {done.stderr.strip()}")
    got = torch.tensor([json.loads(line)["logits"] for line in done.stdout.splitlines()])
    assert got.shape == want.shape, (path, got.shape, want.shape)
    return ((got - want).abs().max() / want.abs().max()).item()


def check_all(rbench, folder):
    worst = 0
    for name, kind, arguments, how in CASES:
        path = os.path.join(folder, name)
        save(path, kind, arguments, **how)
        off = check(rbench, path, logits_of(path))
        if not off < 2e-5:
            sys.exit(f"FAILED: {name}: logits off by {off:.2e} of the largest")
        worst = max(worst, off)
    print(f"{len(CASES)} folders of transformers {transformers.__version__}: logits within "
          f"{worst:.1e} of the largest; plm is not in the package")


def write_vectors(folder):
    for name, kind, arguments, how in CASES:
        if name not in VECTORS:
            continue
        path = os.path.join(folder, name)
        shutil.rmtree(path, ignore_errors=True)
        save(path, kind, arguments, **{**how, "dtype": "bfloat16"})
        os.remove(os.path.join(path, "generation_config.json"))
        want = logits_of(path)
        with open(os.path.join(path, "expected.json"), "w") as f:
            rows = ",\n  ".join("[" + ", ".join(f"{x:.7g}" for x in row) + "]" for row in want.tolist())
            f.write(f'{{"prompt": {PROMPT},\n "forced": {FORCED},\n "logits": [\n  {rows}\n]}}\n')
        for name in os.listdir(path):
            os.chmod(os.path.join(path, name), 0o644)
        size = sum(os.path.getsize(os.path.join(path, x)) for x in os.listdir(path))
        print(f"{path}: {size} bytes")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--write"]:
        write_vectors(sys.argv[2])
    else:
        with tempfile.TemporaryDirectory() as scratch:
            check_all(sys.argv[1] if len(sys.argv) > 1 else "./rbench", scratch)
