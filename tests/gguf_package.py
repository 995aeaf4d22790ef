#!/usr/bin/env python3
"""Files between rbench and the PyPI package `gguf`, both ways.

Models written by the package, of every architecture and type, must load and give the logits of a
float64 forward pass written here; models written by rbench, synthesised or converted, must be read by the package.
Usage: tests/gguf_package.py [RBENCH]   (default ./rbench). Without the package: says "skipped".
"""
import json
import os
import subprocess
import sys
import tempfile

try:
    import gguf
    import numpy as np
    from gguf.quants import dequantize, quantize
except ImportError as why:
    print(f"skipped: {why}")
    sys.exit(0)

Type = gguf.GGMLQuantizationType
TYPES = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"]
TOKENS = [1, 2, 3, 61, 5]
EMBD, FF, VOCAB, LAYERS, HEADS, HEADS_KV, D, EPS, BASE = 64, 96, 70, 2, 4, 2, 16, 1e-5, 1e4


def run(*args):
    done = subprocess.run(args, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"FAILED: {' '.join(args)}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def make_tensors(arch, tied):
    """Name to array, [rows, columns], as float32."""
    rng = np.random.default_rng(5)

    def matrix(rows, cols):
        return (rng.standard_normal((rows, cols)) / np.sqrt(cols)).astype(np.float32)

    def norm(n):
        return (1 + rng.standard_normal(n) / 8).astype(np.float32)

    t = {"token_embd.weight": matrix(VOCAB, EMBD), "output_norm.weight": norm(EMBD)}
    if not tied:
        t["output.weight"] = matrix(VOCAB, EMBD)
    if arch == "llama":
        t["rope_freqs.weight"] = np.linspace(1, 4, D // 2).astype(np.float32)
    for i in range(LAYERS):
        b = f"blk.{i}."
        t[b + "attn_norm.weight"], t[b + "ffn_norm.weight"] = norm(EMBD), norm(EMBD)
        for name, rows in (("q", HEADS * D), ("k", HEADS_KV * D), ("v", HEADS_KV * D)):
            t[f"{b}attn_{name}.weight"] = matrix(rows, EMBD)
            if arch == "qwen2":
                t[f"{b}attn_{name}.bias"] = norm(rows) - 1
        t[b + "attn_output.weight"] = matrix(EMBD, HEADS * D)
        t[b + "ffn_gate.weight"], t[b + "ffn_up.weight"] = matrix(FF, EMBD), matrix(FF, EMBD)
        t[b + "ffn_down.weight"] = matrix(EMBD, FF)
        if arch == "qwen3":
            t[b + "attn_q_norm.weight"], t[b + "attn_k_norm.weight"] = norm(D), norm(D)
    return t


def write(path, arch, kind, tensors):
    """Writes the file and returns the weights as the types keep them."""
    w = gguf.GGUFWriter(path, arch)
    w.add_name(f"{arch} {kind.name}")
    w.add_block_count(LAYERS)
    w.add_context_length(128)
    w.add_embedding_length(EMBD)
    w.add_feed_forward_length(FF)
    w.add_head_count(HEADS)
    w.add_head_count_kv(HEADS_KV)
    w.add_layer_norm_rms_eps(EPS)
    w.add_rope_freq_base(BASE)
    w.add_tokenizer_model("llama")
    w.add_token_list([f"<{i}>" for i in range(VOCAB)])
    w.add_token_scores([0.0] * VOCAB)
    w.add_token_types([1] * VOCAB)
    kept = {}
    for name, x in tensors.items():
        vector = x.ndim == 1
        raw = x if vector else quantize(x, kind)
        w.add_tensor(name, raw, raw_dtype=Type.F32 if vector else kind)
        kept[name] = (x if vector else dequantize(raw, kind)).astype(np.float64)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    return kept


def rms_norm(x, weight):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + EPS) * weight


def rope(x, arch, freqs):
    """x[token][head][D]."""
    theta = BASE ** (-2 * np.arange(D // 2) / D) / freqs
    angle = np.arange(x.shape[0])[:, None, None] * theta
    c, s, out = np.cos(angle), np.sin(angle), x.copy()
    if arch == "llama":
        a, b = slice(0, D, 2), slice(1, D, 2)
    else:
        a, b = slice(0, D // 2), slice(D // 2, D)
    out[..., a], out[..., b] = x[..., a] * c - x[..., b] * s, x[..., a] * s + x[..., b] * c
    return out


def attention(x, arch, w, b, freqs):
    n = len(x)
    q, k, v = (
        (x @ w[f"{b}attn_{p}.weight"].T + w.get(f"{b}attn_{p}.bias", 0)).reshape(n, -1, D)
        for p in "qkv"
    )
    if arch == "qwen3":
        q, k = rms_norm(q, w[b + "attn_q_norm.weight"]), rms_norm(k, w[b + "attn_k_norm.weight"])
    q, k = rope(q, arch, freqs), rope(k, arch, freqs)
    k, v = (np.repeat(y, HEADS // HEADS_KV, axis=1) for y in (k, v))
    score = np.einsum("ihd,jhd->hij", q, k) / np.sqrt(D)
    score[:, np.triu_indices(n, 1)[0], np.triu_indices(n, 1)[1]] = -np.inf
    p = np.exp(score - score.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    return np.einsum("hij,jhd->ihd", p, v).reshape(n, -1) @ w[b + "attn_output.weight"].T


def forward(arch, w):
    x = w["token_embd.weight"][TOKENS]
    freqs = w.get("rope_freqs.weight", 1)
    for i in range(LAYERS):
        b = f"blk.{i}."
        x = x + attention(rms_norm(x, w[b + "attn_norm.weight"]), arch, w, b, freqs)
        y = rms_norm(x, w[b + "ffn_norm.weight"])
        gate = y @ w[b + "ffn_gate.weight"].T
        hidden = gate / (1 + np.exp(-gate)) * (y @ w[b + "ffn_up.weight"].T)
        x = x + hidden @ w[b + "ffn_down.weight"].T
    return rms_norm(x, w["output_norm.weight"]) @ w.get("output.weight", w["token_embd.weight"]).T


def check_reading(rbench, folder):
    worst = 0
    for arch in ("llama", "qwen2", "qwen3"):
        for n, name in enumerate(TYPES):
            path = os.path.join(folder, f"{arch}-{name}.gguf")
            want = forward(arch, write(path, arch, Type[name], make_tensors(arch, n % 2 == 0)))
            lines = run(rbench, "eval", path, "--tokens", ",".join(map(str, TOKENS))).splitlines()
            got = np.array([json.loads(line)["logits"] for line in lines])
            assert got.shape == want.shape, (path, got.shape)
            off = np.abs(got - want).max() / np.abs(want).max()
            assert off < 1e-5, f"{path}: logits differ by {off:g} of the largest"
            worst = max(worst, off)
    print(f"ok: {3 * len(TYPES)} files of the package load; logits within {worst:.1e}")


def check_writing(rbench, folder):
    path = os.path.join(folder, "synth.gguf")
    for kind in TYPES + ["Q6_K"]:
        run(rbench, "synth", "tiny", "-o", path, "--type", kind.lower().replace("_k", "_K"))
        reader = gguf.GGUFReader(path)
        assert reader.get_field("general.architecture").contents() == "llama"
        assert reader.get_field("llama.block_count").contents() == 4
        tensors = {t.name: t for t in reader.tensors}
        assert len(tensors) == 3 + 4 * 9, len(tensors)
        embd, q = tensors["token_embd.weight"], tensors["blk.3.attn_q.weight"]
        assert list(embd.shape) == [64, 256] and list(q.shape) == [64, 64]
        # The smallest step of the weights is 2^-10, so f16 keeps them and others come close.
        values = dequantize(embd.data, embd.tensor_type)
        assert values.shape == (256, 64) and 0.9 < np.abs(values).max() < 1.1, kind
        if kind in ("F32", "F16"):
            assert (values * 1024 == np.round(values * 1024)).all()
        want = {"Q6_K": "Q8_0"}.get(kind, kind)  # rows of 64 are no multiple of 256
        assert embd.tensor_type.name == want, (embd.tensor_type, want)
    print(f"ok: the package reads {len(TYPES) + 1} files of rbench")


def fields_of(reader):
    """Metadata of a file, name to type and value, without what a conversion sets."""
    own = ("GGUF.", "general.file_type", "general.quantization_version")
    return {k: (f.types, f.contents()) for k, f in reader.fields.items() if not k.startswith(own)}


def check_converting(rbench, folder):
    """A file of the package, in other types: metadata as they were, values near what they were."""
    source, path = os.path.join(folder, "source.gguf"), os.path.join(folder, "converted.gguf")
    kept = write(source, "llama", Type.F16, make_tensors("llama", False))
    before = gguf.GGUFReader(source)
    worst = {"F32": 0, "F16": 0, "BF16": 2e-3, "Q8_0": 6e-3, "Q5_0": 5e-2, "Q5_1": 5e-2}
    # Rows of 64 and 96 are no multiple of 256: q4_K becomes q5_0 and q6_K q8_0.
    cases = [(kind, kind) for kind in TYPES] + [("Q4_K_M", "Q5_0"), ("Q6_K", "Q8_0")]
    more = ("output.weight", "blk.1.attn_v.weight", "blk.1.ffn_down.weight")
    for asked, want in cases:
        run(rbench, "convert", source, path, "--type", asked)
        after = gguf.GGUFReader(path)
        assert fields_of(after) == fields_of(before), asked
        assert [t.name for t in after.tensors] == [t.name for t in before.tensors], asked
        for t in after.tensors:
            x = kept[t.name]
            kind = "F32" if x.ndim == 1 else "Q8_0" if asked == "Q4_K_M" and t.name in more else want
            assert t.tensor_type.name == kind, (t.name, t.tensor_type, asked)
            values = dequantize(t.data, t.tensor_type).reshape(x.shape)
            off = np.sqrt(((values - x) ** 2).sum() / (x**2).sum())
            assert off <= worst.get(kind, 0.1), (t.name, asked, off)
    print(f"ok: the package reads {len(cases)} files that rbench converted")


def main():
    rbench = sys.argv[1] if len(sys.argv) > 1 else "./rbench"
    with tempfile.TemporaryDirectory() as folder:
        check_reading(rbench, folder)
        check_writing(rbench, folder)
        check_converting(rbench, folder)


main()
