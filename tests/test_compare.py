#!/usr/bin/env python3
"""Checks bench/peers/compare.py without llama.cpp: its statistics, what it reads and shows, and a
whole run of the program against a stand-in for the peer's package.

usage: test_compare.py [--rbench PATH]
"""
import argparse
import importlib.util
import json
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SCRIPT = os.path.join(ROOT, "bench", "peers", "compare.py")
RBENCH = os.path.join(ROOT, "rbench")

# What llamacpp.py calls, for a model of which nothing is known; a token takes a millisecond.
STAND_IN = '''
import ctypes, time
__version__ = "9.9"
llama_token = ctypes.c_int32
class Params(ctypes.Structure):
    _fields_ = [(n, ctypes.c_int) for n in ("n_gpu_layers", "n_ctx", "n_batch", "n_ubatch",
                "n_threads", "n_threads_batch", "type_k", "type_v", "no_perf", "flash_attn_type")]
held = 0
def llama_log_set(f, data): pass
def llama_backend_init(): pass
def llama_model_default_params(): return Params()
def llama_context_default_params(): return Params()
def llama_model_load_from_file(path, how): return b"bad" not in path
def llama_init_from_model(model, p): return p if p.flash_attn_type == 1 and p.type_k == 30 else None
def llama_get_memory(c): return 1
def llama_model_get_vocab(m): return 1
def llama_vocab_n_tokens(v): return 50
def llama_print_system_info(): return b"stand-in"
def llama_model_n_params(m): return 7
def llama_model_size(m): return 8
def llama_synchronize(c): pass
def llama_memory_clear(m, data):
    global held
    held = 0
def llama_memory_seq_rm(m, seq, first, last):
    global held
    held = first
    return True
def llama_batch_get_one(tokens, n):
    assert all(0 <= t < 50 for t in tokens[:n])
    return n
def llama_decode(c, n):
    global held
    held += n
    time.sleep(n / 1000)
    return held > c.n_ctx or n > c.n_batch
'''


def load():
    spec = importlib.util.spec_from_file_location("compare", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


sys.dont_write_bytecode = True
compare = load()


class Statistics(unittest.TestCase):
    def test_the_interval_holds_the_median_with_95_percent_and_is_the_narrowest(self):
        for n in range(1, 60):
            def holds(k, n=n):
                return 1 - 2 * sum(math.comb(n, i) for i in range(k)) / 2**n
            k = compare.median_rank(n)
            self.assertEqual(k == 0, n < 6)
            self.assertTrue(k == 0 or holds(k) >= 0.95)
            self.assertLess(holds(k + 1), 0.95)

    def test_how_often_it_holds_the_median_of_a_normal_distribution(self):
        draw = random.Random(1)
        n_in = 0
        for _ in range(2000):
            low, high = compare.summary([draw.gauss(3, 1) for _ in range(8)])["ci95"]
            n_in += low <= 3 <= high
        self.assertTrue(0.95 <= n_in / 2000 <= 1)

    def test_ratios_are_taken_within_pairs(self):
        test = {"n_prompt": 100, "n_gen": 0, "n_depth": 0}
        pairs = [{"peer": [4 * k, 2 * k, 9 * k], "rbench": [2 * k], "roof_pct": 50 + k}
                 for k in (1, 2, 4, 8, 16, 32, 64)]  # drift that hits both alike
        r = compare.result_of(test, pairs)
        self.assertEqual(r["ratio"], {"median": 2, "ci95": [2, 2], "n": 7})
        self.assertEqual(r["rbench_ts"]["median"], 100 * 1e9 / 16)
        self.assertEqual(r["peer_ts"]["median"], 100 * 1e9 / 32)
        self.assertEqual(r["roof_pct"], 58)
        del pairs[5:]
        r = compare.result_of(test, [dict(p, roof_pct=None) for p in pairs])
        self.assertEqual((r["ratio"]["ci95"], r["roof_pct"]), (None, None))
        for n, share in ((2, None), (3, 52)):  # of five pairs
            some = [dict(p, roof_pct=p["roof_pct"] if i < n else None) for i, p in enumerate(pairs)]
            self.assertEqual(compare.result_of(test, some)["roof_pct"], share)


class Texts(unittest.TestCase):
    tests = [{"n_prompt": 512, "n_gen": 0, "n_depth": 0}, {"n_prompt": 0, "n_gen": 3, "n_depth": 8}]

    def record(self, test, **more):
        return json.dumps(dict(test, samples_ns=[test["n_gen"]], **more)) + "\n"

    def test_records_come_in_the_order_of_the_tests(self):
        text = self.record(self.tests[1]) + self.record(self.tests[0])
        got = compare.read_records(text, self.tests)
        self.assertEqual([r["samples_ns"] for r in got], [[0], [3]])

    def test_a_test_without_times_fails_in_a_line(self):
        first = self.record(self.tests[0])
        for text in (first, first + self.record(self.tests[1], error="no memory")):
            with self.assertRaisesRegex(compare.Failure, "no times of tg3 @ d8"):
                compare.read_records(text, self.tests)

    def test_the_table(self):
        def rate(x):
            return {"median": x, "ci95": None}
        done = {"model": "m", "type": "t", "test": self.tests[1], "pairs": [1], "roof_pct": 91.26,
                "peer_ts": rate(12.3456), "rbench_ts": rate(1234.5),
                "ratio": {"median": 1.5, "ci95": [1.4, 1.6]}}
        lines = compare.table([done, dict(done, pairs=[])]).splitlines()
        self.assertEqual(lines[2:], ["| m | t | tg3 @ d8 | 12.35 | 1234 | 1.500 (1.400 to 1.600) | "
                                     "91.3 % |"])
        self.assertEqual({line.count("|") for line in lines}, {8})

    def test_every_isa_has_its_build(self):
        self.assertLessEqual(set(compare.CXXFLAGS), set(compare.CMAKE_ARGS))

    def test_what_the_command_line_refuses(self):
        for words in ("", "--shape a --model b", "--shape a -p 0 -n 0", "--shape a --pairs 0",
                      "--shape a -t x", "--shape a -p -1", "--shape a --ctk q9",
                      "--shape a --isa sse9"):
            run = subprocess.run([sys.executable, SCRIPT, *words.split()], text=True,
                                 stderr=subprocess.PIPE, check=False)
            self.assertEqual(run.returncode, 2, words)
            self.assertNotIn("Traceback", run.stderr)


class Runs(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = scratch.name
        with open(self.path("llama_cpp.py"), "w", encoding="utf-8") as out:
            out.write(STAND_IN)
        for name in ("m.gguf", "bad.gguf"):
            subprocess.run([RBENCH, "synth", "tiny", "-o", self.path(name)], check=True,
                           stderr=subprocess.DEVNULL)

    def path(self, name):
        return os.path.join(self.folder, name)

    def start(self, words, model="m.gguf"):
        env = dict(os.environ, PYTHONPATH=self.folder)
        return subprocess.Popen(
            [sys.executable, SCRIPT, "--model", self.path(model), "--rbench", RBENCH,
             "--peer-python", sys.executable, "--no-roofs", "-t", "1", "-p", "9", "-n", "4",
             "-d", "5", "--out", self.path("out.json"), *words.split()],
            env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def read(self):
        with open(self.path("out.json"), encoding="utf-8") as kept:
            return json.load(kept)

    def test_pairs_of_both_tests_in_both_orders(self):
        child = self.start("--ctk bf16 --pairs 7 --reps 2")
        out, err = child.communicate()
        self.assertEqual(child.returncode, 0, err)
        self.assertIn("| m.gguf | file's | pp9 @ d5 |", out)
        self.assertIn("llama-cpp-python 9.9", out)
        self.assertIn("note: llama.cpp counts 7 parameters in 8 bytes", err)
        results = self.read()["results"]
        self.assertEqual([r["test"]["n_gen"] for r in results], [0, 4])
        for r, ms in zip(results, (9, 4)):
            self.assertEqual([(len(p["peer"]), len(p["rbench"])) for p in r["pairs"]], [(2, 2)] * 7)
            self.assertEqual({p["first"] for p in r["pairs"]}, {"peer", "rbench"})
            for p in r["pairs"]:
                self.assertGreaterEqual(min(p["peer"]), ms * 1e6)
            self.assertEqual(len(r["ratio"]["ci95"]), 2)

    def test_what_fails_says_why_in_a_line(self):
        for words, model, why in (
                ("--ctk bf16", "bad.gguf", "llama.cpp cannot load"),
                ("--ctk f16", "m.gguf", "llama.cpp refuses this context"),
                ("--ctk bf16 --rbench /no/such", "m.gguf", "/no/such"),
                ("--ctk bf16 --peer-python /no/such", "m.gguf", "/no/such")):
            child = self.start(words, model)
            out, err = child.communicate()
            self.assertEqual((child.returncode, out), (1, ""), err)
            self.assertEqual(err.count("\n"), 1, err)
            self.assertIn(why, err)

    def test_an_interrupt_keeps_the_pairs(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            child = self.start("--ctk bf16 --pairs 10000 --reps 1")
            while not os.path.exists(self.path("out.json")) and child.poll() is None:
                time.sleep(0.01)
            child.send_signal(number)
            out, err = child.communicate()
            self.assertEqual(child.returncode, 130, err)
            self.assertIn("interrupted", err)
            self.assertNotIn("Traceback", err)
            self.assertIn("| m.gguf | file's | tg4 @ d5 |", out)
            self.assertGreaterEqual(len(self.read()["results"][0]["pairs"]), 1)
            os.remove(self.path("out.json"))


def main():
    global RBENCH
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rbench", default=RBENCH)
    RBENCH = parser.parse_args().rbench
    unittest.main(argv=sys.argv[:1])


if __name__ == "__main__":
    main()
