#!/usr/bin/env python3
"""Compares the perplexity of a text in rbench and in llama.cpp: the same GGUF file and windows.

usage: perplexity.py MODEL.gguf TEXT [--ctx N] [--chunks N] [--rbench FILE] [-t N]

Run it by a Python that has llama-cpp-python and numpy. The text is tokenised by each engine itself;
llama.cpp's windows are those of its own tool: from an empty cache each, BOS first where the model
wants it, and the tokens after the first half are foretold. Exit 1 if the two are further apart than
0.5 %, or do not see the same number of tokens. Read next: README.md.
"""
import argparse
import ctypes
import json
import math
import os
import subprocess
import sys

try:
    import llama_cpp as api
    import numpy as np
except ImportError as missing:
    sys.exit(f"{sys.executable} lacks a package: {missing}")

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MOST_APART = 0.005


@ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
def say_nothing(_level, _text, _data):
    pass


def tokens_of(vocab, text):
    room = len(text) + 16
    ids = (api.llama_token * room)()
    n = api.llama_tokenize(vocab, text, len(text), ids, room, True, False)
    if n < 0:
        raise RuntimeError("llama.cpp cannot tokenise the text")
    return list(ids[:n])


def scores(logits, following):
    """-ln p of each following token, by its row of logits."""
    rows = logits.astype(np.float64)
    top = rows.max(axis=1)
    log_sum = top + np.log(np.exp(rows - top[:, None]).sum(axis=1))
    return log_sum - rows[np.arange(len(following)), following]


def peer(path, text, n_ctx, n_chunk, n_threads):
    api.llama_log_set(say_nothing, None)
    api.llama_backend_init()
    how = api.llama_model_default_params()
    how.n_gpu_layers = 0
    model = api.llama_model_load_from_file(path.encode(), how)
    if not model:
        raise RuntimeError(f"llama.cpp cannot load {path}")
    what = api.llama_context_default_params()
    what.n_ctx = what.n_batch = what.n_ubatch = n_ctx
    what.n_threads = what.n_threads_batch = n_threads
    context = api.llama_init_from_model(model, what)
    vocab = api.llama_model_get_vocab(model)
    n_vocab = api.llama_vocab_n_tokens(vocab)
    ids = tokens_of(vocab, text)
    n_window = len(ids) // n_ctx
    n_window = min(n_window, n_chunk) if n_chunk else n_window
    first, found = n_ctx // 2, []
    batch = api.llama_batch_init(n_ctx, 0, 1)
    for w in range(n_window):
        window = ids[w * n_ctx:(w + 1) * n_ctx]
        fed = list(window)
        if api.llama_vocab_get_add_bos(vocab):
            fed[0] = api.llama_vocab_bos(vocab)
        batch.n_tokens = n_ctx
        for i, token in enumerate(fed):
            batch.token[i], batch.pos[i], batch.n_seq_id[i] = token, i, 1
            batch.seq_id[i][0], batch.logits[i] = 0, i >= first
        api.llama_memory_clear(api.llama_get_memory(context), True)
        if api.llama_decode(context, batch) != 0:
            raise RuntimeError("llama_decode failed")
        logits = np.stack([np.ctypeslib.as_array(api.llama_get_logits_ith(context, i), (n_vocab,))
                           for i in range(first, n_ctx - 1)])
        found.append(scores(logits, window[first + 1:]))
    return ids, np.concatenate(found)


def own(rbench, path, text, n_ctx, n_chunk, n_threads):
    command = [rbench, "perplexity", path, "-f", text, "-c", str(n_ctx), "-t", str(n_threads),
               "-o", "json"] + (["--chunks", str(n_chunk)] if n_chunk else [])
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("text")
    parser.add_argument("--ctx", type=int, default=512)
    parser.add_argument("--chunks", type=int, default=0)
    parser.add_argument("--rbench", default=os.path.join(ROOT, "rbench"))
    parser.add_argument("-t", "--threads", type=int, default=os.cpu_count())
    args = parser.parse_args()
    try:
        with open(args.text, "rb") as file:
            text = file.read()
        ours = own(args.rbench, args.model, args.text, args.ctx, args.chunks, args.threads)
        ids, nll = peer(args.model, text, args.ctx, args.chunks, args.threads)
    except (OSError, RuntimeError, ValueError) as why:
        sys.exit(str(why))
    theirs = math.exp(nll.mean())
    apart = ours["ppl"] / theirs - 1
    print(f"llama.cpp {api.__version__}: {theirs:.4f}, rbench: {ours['ppl']:.4f} "
          f"+- {ours['ppl_se']:.4f}, apart {100 * apart:+.3f} %, over {len(nll)} tokens of "
          f"{len(ids)} (rbench: {ours['n_scored']} of {ours['n_text']})")
    same = ours["n_scored"] == len(nll) and ours["n_text"] == len(ids)
    sys.exit(0 if same and abs(apart) <= MOST_APART else 1)


if __name__ == "__main__":
    main()
