#!/usr/bin/env python3
"""Times tests of one model in llama.cpp, by llama-cpp-python: a process of its own.

usage: llamacpp.py MODEL.gguf OPTIONS (a JSON object: n_threads, n_ctx, n_batch, n_ubatch, type_k,
type_v, seed). Answers each line of stdin with one on stdout: first, unasked, what it runs; then for
{"n_prompt", "n_gen", "n_depth"} the nanoseconds of one repetition, {"ns"}; {"error"} where it
cannot.
It decides nothing about what is measured. Read next: compare.py.
"""
import ctypes
import json
import random
import sys
import time

try:
    import llama_cpp as api
except ImportError as missing:
    print(json.dumps({"error": f"{sys.executable} has no llama-cpp-python: {missing}"}))
    sys.exit(1)

CACHE_TYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q8_0": 8, "bf16": 30}  # ggml's numbers
WARM_PROMPT, WARM_STEPS = 64, 4


@ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
def say_nothing(_level, _text, _data):
    pass


def fields_of(params):
    return [field[0] for field in params._fields_]


class Engine:
    def __init__(self, path, options):
        api.llama_log_set(say_nothing, None)
        api.llama_backend_init()
        how = api.llama_model_default_params()
        how.n_gpu_layers = 0
        self.model = api.llama_model_load_from_file(path.encode(), how)
        if not self.model:
            raise RuntimeError(f"llama.cpp cannot load {path}")
        what = api.llama_context_default_params()
        what.n_ctx = options["n_ctx"]
        what.n_batch, what.n_ubatch = options["n_batch"], options["n_ubatch"]
        what.n_threads = what.n_threads_batch = options["n_threads"]
        what.type_k, what.type_v = (CACHE_TYPES[options[k]] for k in ("type_k", "type_v"))
        what.no_perf = True
        if "flash_attn_type" in fields_of(what):
            what.flash_attn_type = 1
        else:  # before it could be left to the engine
            what.flash_attn = True
        self.context = api.llama_init_from_model(self.model, what)
        if not self.context:
            raise RuntimeError("llama.cpp refuses this context, cache or batch")
        self.memory = api.llama_get_memory(self.context)
        self.n_batch = options["n_batch"]
        self.n_vocab = api.llama_vocab_n_tokens(api.llama_model_get_vocab(self.model))
        self.random = random.Random(options["seed"])
        self.filled = 0

    def describe(self):
        return {
            "version": api.__version__,
            "system": api.llama_print_system_info().decode(),
            "n_params": api.llama_model_n_params(self.model),
            "size": api.llama_model_size(self.model),
        }

    def tokens(self, n):
        return (api.llama_token * n)(*(self.random.randrange(self.n_vocab) for _ in range(n)))

    def decode(self, tokens):
        """All tokens from where the cache ends, a batch at a time, as llama-bench does."""
        for at in range(0, len(tokens), self.n_batch):
            part = tokens[at:at + self.n_batch]
            part = (api.llama_token * len(part))(*part)
            if api.llama_decode(self.context, api.llama_batch_get_one(part, len(part))) != 0:
                raise RuntimeError("llama_decode failed")
        api.llama_synchronize(self.context)

    def steps(self, n):
        for token in [self.tokens(1) for _ in range(n)]:
            self.decode(token)

    def rewind(self, depth):
        """The cache holds depth tokens: computed once, what came later is dropped."""
        if self.filled != depth:
            api.llama_memory_clear(self.memory, True)
            self.decode(self.tokens(depth))
            self.filled = depth
        if not api.llama_memory_seq_rm(self.memory, 0, depth, -1):
            raise RuntimeError("llama.cpp cannot go back in this model's cache")

    def time(self, n_prompt, n_gen, n_depth):
        self.rewind(n_depth)
        self.decode(self.tokens(min(n_prompt, WARM_PROMPT)))
        self.steps(min(n_gen, WARM_STEPS))
        self.rewind(n_depth)
        prompt, steps = self.tokens(n_prompt), [self.tokens(1) for _ in range(n_gen)]
        start = time.perf_counter_ns()
        self.decode(prompt)
        for token in steps:
            self.decode(token)
        return time.perf_counter_ns() - start


def answer(message):
    print(json.dumps(message), flush=True)


def main():
    try:
        engine = Engine(sys.argv[1], json.loads(sys.argv[2]))
        answer(engine.describe())
        for line in sys.stdin:
            test = json.loads(line)
            answer({"ns": engine.time(test["n_prompt"], test["n_gen"], test["n_depth"])})
    except (RuntimeError, MemoryError, AttributeError) as why:
        answer({"error": str(why) or type(why).__name__})
        sys.exit(1)


if __name__ == "__main__":
    main()
