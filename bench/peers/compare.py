#!/usr/bin/env python3
"""Compares rbench with llama.cpp: the same GGUF files, tests, threads and cache, in pairs.

usage: compare.py --shape llama3.2-1b --type q8_0,f16 [options]   or   --model FILE.gguf [options]

Each pair runs all tests in both engines, in an order that is drawn at random, so that what drifts
hits both alike. Ratios are of medians within a pair; what is shown is the median over pairs, with
an interval from their order that holds it with 95 %. Token ids differ between the engines, which
matters to the choice of experts alone. llama.cpp comes from the package llama-cpp-python, built
here for this CPU once (10 to 20 minutes), or from --peer-python. An interrupt keeps the pairs that
are complete.
Read next: llamacpp.py, README.md.
"""
import argparse
import datetime
import json
import math
import os
import random
import signal
import statistics
import subprocess
import sys
import venv

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(ROOT, "build", "peers")
N_BATCH, N_UBATCH = 2048, 512
CACHE_TYPES = ("f32", "f16", "bf16", "q8_0", "q4_0")  # that both have
PEER_VERSION = "0.3.36"
# What the peer is compiled for, by --isa.
AVX2 = "-DGGML_NATIVE=OFF -DGGML_AVX=ON -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON"
CMAKE_ARGS = {
    "native": "-DGGML_NATIVE=ON",
    "avx512": f"{AVX2} -DGGML_AVX512=ON -DGGML_AVX512_VNNI=ON",
    "avx2": f"{AVX2} -DGGML_AVX512=OFF",
}
# Of the 64 bytes that AMX's ldtilecfg reads gcc 12 knows 8 and drops stores to the others, which
# ends in a fault: hence no elimination of dead stores.
CXXFLAGS = {"native": "-fno-tree-dse -fno-dse"}


class Failure(Exception):
    """One line for the user."""


# ---- statistics ----

def median_rank(n):
    """k of the interval [x(k), x(n + 1 - k)], from 1, that holds the median of what n samples are
    drawn from with 95 %; 0: n is too small for one."""
    outside, k = 0.0, 0
    while k < n // 2:
        outside += 2 * math.comb(n, k) / 2**n
        if outside > 0.05:
            break
        k += 1
    return k


def summary(values):
    """Median and, from six values on, its interval."""
    k, ranked = median_rank(len(values)), sorted(values)
    interval = [ranked[k - 1], ranked[-k]] if k else None
    return {"median": statistics.median(values), "ci95": interval, "n": len(values)}


def result_of(test, pairs):
    """The figures of a test from its pairs: rates, ratios of rates within each pair, and the median
    share of a roof where most pairs have one (what is at its roof has none)."""
    tokens = test["n_prompt"] + test["n_gen"]
    rates = {side: [tokens * 1e9 / statistics.median(p[side]) for p in pairs]
             for side in ("peer", "rbench")}
    shares = [p["roof_pct"] for p in pairs if p.get("roof_pct")]
    return {
        "peer_ts": summary(rates["peer"]),
        "rbench_ts": summary(rates["rbench"]),
        "ratio": summary([a / b for a, b in zip(rates["rbench"], rates["peer"])]),
        "roof_pct": statistics.median(shares) if 2 * len(shares) > len(pairs) else None,
    }


# ---- what is shown ----

def test_name(test):
    name = f"pp{test['n_prompt']}" if test["n_prompt"] else f"tg{test['n_gen']}"
    return name + (f" @ d{test['n_depth']}" if test["n_depth"] else "")


def rate_text(rate):
    return f"{rate['median']:.4g}" if rate["median"] < 1000 else f"{rate['median']:.0f}"


def ratio_text(ratio):
    text = f"{ratio['median']:.3f}"
    if ratio["ci95"]:
        text += f" ({ratio['ci95'][0]:.3f} to {ratio['ci95'][1]:.3f})"
    return text


def table(results):
    """Markdown; results in the order they were measured, those without a pair left out."""
    lines = [
        "| model | type | test | llama.cpp tok/s | rbench tok/s | rbench / llama.cpp (95 %) | "
        "rbench of roof |",
        "|:--|:--|:--|--:|--:|--:|--:|",
    ]
    for r in results:
        if not r["pairs"]:
            continue
        share = f"{r['roof_pct']:.1f} %" if r["roof_pct"] else "-"
        lines.append(
            f"| {r['model']} | {r['type']} | {test_name(r['test'])} | {rate_text(r['peer_ts'])} | "
            f"{rate_text(r['rbench_ts'])} | {ratio_text(r['ratio'])} | {share} |")
    return "\n".join(lines)


# ---- rbench ----

def run_rbench(words, isa):
    """What it prints; its own line on stderr if it fails."""
    env = dict(os.environ)
    if isa != "native":
        env["RBENCH_ISA"] = isa
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, env=env,
                          start_new_session=True) as child:
        try:
            out, err = child.communicate()
        except KeyboardInterrupt:
            child.kill()
            raise
    if child.returncode != 0:
        raise Failure((err.strip() or f"{words[0]} exited {child.returncode}").splitlines()[-1])
    return out


def read_records(text, tests):
    """The records of rbench's JSON lines in the order of the tests; a test without one fails."""
    found = {}
    for line in text.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            raise Failure(f"rbench answered {line[:80]!r}") from None
        found[tuple(record[k] for k in ("n_prompt", "n_gen", "n_depth"))] = record
    records = [found.get((t["n_prompt"], t["n_gen"], t["n_depth"])) for t in tests]
    for test, record in zip(tests, records):
        if not record or record.get("error") or not record.get("samples_ns"):
            raise Failure(f"rbench has no times of {test_name(test)}")
    return records


class Rbench:
    def __init__(self, args, path):
        self.isa = args.isa
        self.words = [args.rbench, path, "-t", str(args.threads), "-r", str(args.reps),
                      "-p", str(args.prompt), "-n", str(args.gen), "-d", str(args.depth),
                      "-b", str(N_BATCH), "-ub", str(N_UBATCH), "-ctk", args.ctk, "-ctv", args.ctv,
                      "-o", "jsonl"] + (["--no-roofs"] if args.no_roofs else [])

    def run(self, tests):
        return read_records(run_rbench(self.words, self.isa), tests)


def synthesise(args, type_name):
    """The file of the shape in this type, written once. Returns its path."""
    name = "-".join([args.shape, type_name, *args.set]).replace("/", "_")
    path = os.path.join(BUILD, f"{name}.gguf")
    if not os.path.exists(path):
        changes = [w for key in args.set for w in ("--set", key)]
        run_rbench([args.rbench, "synth", args.shape, "--type", type_name, *changes, "-o", path],
                   "native")
    return path


# ---- the peer ----

def build_peer(isa, version):
    """The Python of an environment that has the peer, built for this ISA; once."""
    folder = os.path.join(BUILD, f"python-{isa}-{version}")
    python, ready = os.path.join(folder, "bin", "python"), os.path.join(folder, "ready")
    if os.path.exists(ready):
        return python
    print(f"building llama-cpp-python {version} for {isa}: 10 to 20 minutes, once", file=sys.stderr)
    try:
        venv.create(folder, clear=True, with_pip=True)
    except subprocess.CalledProcessError:
        raise Failure("no environment can be made: install python3-venv, or name "
                      "--peer-python") from None
    env = dict(os.environ, CMAKE_ARGS=CMAKE_ARGS[isa], CXXFLAGS=CXXFLAGS.get(isa, ""))
    log = os.path.join(BUILD, f"python-{isa}.log")
    with open(log, "w", encoding="utf-8") as out:
        code = subprocess.call([python, "-m", "pip", "install", "--no-binary", "llama-cpp-python",
                                "--no-cache-dir", f"llama-cpp-python=={version}", "gguf", "numpy"],
                               stdout=out, stderr=out, env=env)
    if code != 0:
        raise Failure(f"llama-cpp-python cannot be built: see {log}, or name --peer-python")
    with open(ready, "w", encoding="utf-8"):
        return python


class Peer:
    """llama.cpp with one model, in a process that stays; idle while rbench runs."""

    def __init__(self, args, path):
        options = {
            "n_threads": args.threads, "n_ctx": args.depth + max(args.prompt, args.gen),
            "n_batch": N_BATCH, "n_ubatch": N_UBATCH, "type_k": args.ctk, "type_v": args.ctv,
            "seed": args.seed
        }
        self.child = subprocess.Popen(
            [args.peer_python, os.path.join(HERE, "llamacpp.py"), path, json.dumps(options)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
        try:
            self.about = self.answer()
        except BaseException:
            self.close()
            raise

    def answer(self):
        line = self.child.stdout.readline()
        if not line:
            raise Failure(f"the peer ended without an answer, exit code {self.child.wait()}")
        try:
            message = json.loads(line)
        except ValueError:
            raise Failure(f"the peer answered {line.strip()[:80]!r}") from None
        if "error" in message:
            raise Failure(message["error"])
        return message

    def run(self, tests, reps):
        """Times of each test in ns, repetitions of all tests in turn."""
        times = [[] for _ in tests]
        for _ in range(reps):
            for test, ns in zip(tests, times):
                self.child.stdin.write(json.dumps(test) + "\n")
                self.child.stdin.flush()
                ns.append(self.answer()["ns"])
        return times

    def close(self):
        self.child.kill()
        self.child.communicate()


# ---- measuring ----

def run_pair(order, peer, rbench, tests, reps):
    """Both engines once, in this order. A pair for each test."""
    times = records = None
    for side in order:
        if side == "peer":
            times = peer.run(tests, reps)
        else:
            records = rbench.run(tests)
    pairs = [{"first": order[0], "peer": ns, "rbench": r["samples_ns"],
              "roof_pct": r.get("roof_pct"), "bound": r.get("bound")}
             for ns, r in zip(times, records)]
    return pairs, records


def check_same(about, record):
    theirs, ours = (about["n_params"], about["size"]), (record["model_n_params"],
                                                        record["model_size"])
    if theirs != ours:
        print(f"note: llama.cpp counts {theirs[0]} parameters in {theirs[1]} bytes, rbench "
              f"{ours[0]} in {ours[1]}", file=sys.stderr)


def measure(args, report, path, names, draw):
    """All pairs of a file; the report is kept after each."""
    tests = [t for t in ({"n_prompt": args.prompt, "n_gen": 0, "n_depth": args.depth},
                         {"n_prompt": 0, "n_gen": args.gen, "n_depth": args.depth})
             if t["n_prompt"] or t["n_gen"]]
    results = [dict(names, test=t, file=path, pairs=[]) for t in tests]
    report["results"] += results
    rbench, peer = Rbench(args, path), Peer(args, path)
    try:
        report["versions"].update(llama_cpp_python=peer.about["version"],
                                  llama_cpp_system=peer.about["system"])
        for i in range(args.pairs):
            order = draw.sample(("peer", "rbench"), 2)
            pairs, records = run_pair(order, peer, rbench, tests, args.reps)
            if not i:
                check_same(peer.about, records[0])
            report["versions"].update(rbench=records[0]["build_commit"], isa=records[0]["isa"])
            report["machine"].update(cpu=records[0]["cpu_info"], threads=records[0]["n_threads"])
            for result, pair in zip(results, pairs):
                result["pairs"].append(pair)
                result.update(result_of(result["test"], result["pairs"]))
            keep(report, args.out)
            print(f"{names['model']} {names['type']}: pair {i + 1} of {args.pairs}",
                  file=sys.stderr)
    finally:
        peer.close()


def keep(report, path):
    """The whole report, complete or as it was before."""
    with open(f"{path}.part", "w", encoding="utf-8") as out:
        json.dump(report, out, indent=1)
        out.write("\n")
        out.flush()
        os.fsync(out.fileno())
    os.replace(f"{path}.part", path)


def show(report, path):
    machine, versions = report["machine"], report["versions"]
    if not any(r["pairs"] for r in report["results"]):
        return
    print(f"{report['date']}, {machine['cpu']}, {machine['threads']} threads; rbench "
          f"{versions['rbench']} ({versions['isa']}), llama-cpp-python "
          f"{versions['llama_cpp_python']} ({report['options']['isa']})\n")
    print(table(report["results"]))
    print(f"\nMedians over pairs of {report['options']['reps']} repetitions each; every sample is "
          f"in {path}.")


# ---- the command ----

def whole(least):
    def parse(text):
        if not text.isdigit() or not least <= int(text) <= 1 << 24:
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from {least} on")
        return int(text)
    return parse


def read_args(words):
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    p.add_argument("--shape", help="preset of rbench synth; files are written once")
    p.add_argument("--type", default="q8_0", help="types of the shape's matrices, by comma")
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                   help="change the shape, as in rbench synth")
    p.add_argument("--model", action="append", default=[], metavar="FILE", help="compare this file")
    p.add_argument("--isa", choices=sorted(CMAKE_ARGS), default="native",
                   help="what both engines are held to")
    p.add_argument("-t", dest="threads", type=whole(1), help="threads (default: rbench's)")
    p.add_argument("-p", dest="prompt", type=whole(0), default=512, help="prompt length; 0: none")
    p.add_argument("-n", dest="gen", type=whole(0), default=128, help="decode steps; 0: none")
    p.add_argument("-d", dest="depth", type=whole(0), default=0, help="context before a test")
    p.add_argument("--ctk", choices=CACHE_TYPES, default="f16", help="type of cached keys")
    p.add_argument("--ctv", choices=CACHE_TYPES, help="type of cached values (default: as --ctk)")
    p.add_argument("--pairs", type=whole(1), default=8, help="from 6 on there is an interval")
    p.add_argument("--reps", type=whole(1), default=3, help="repetitions of a test within a pair")
    p.add_argument("--seed", type=whole(0), default=1, help="of the order and the peer's tokens")
    p.add_argument("--no-roofs", action="store_true", help="do not measure roofs")
    p.add_argument("--rbench", default=os.path.join(ROOT, "rbench"), help="the program")
    p.add_argument("--peer-python", help="a Python that has llama-cpp-python; none is built")
    p.add_argument("--peer-version", default=PEER_VERSION, help="of llama-cpp-python, to build")
    p.add_argument("--out", help="JSON of every sample (default: in build/peers)")
    args = p.parse_args(words)
    if bool(args.shape) == bool(args.model):
        p.error("name a --shape, or files by --model")
    if not args.prompt and not args.gen:
        p.error("nothing to run: -p and -n are both 0")
    args.ctv = args.ctv or args.ctk
    return args


def prepare(args):
    """Fills in what was not given. Returns the files as (path, names)."""
    os.makedirs(BUILD, exist_ok=True)
    with open(f"{args.out}.part", "w", encoding="utf-8"):  # rather now than after the first pair
        pass
    if not args.threads:
        plan = run_rbench([args.rbench, "predict", "tiny", "-p", "1", "-n", "0", "-o", "json"],
                          "native")
        args.threads = json.loads(plan)[0]["n_threads"]
    args.peer_python = args.peer_python or build_peer(args.isa, args.peer_version)
    if args.model:
        return [(m, {"model": os.path.basename(m), "type": "file's"}) for m in args.model]
    return [(synthesise(args, t), {"model": args.shape, "type": t}) for t in args.type.split(",")]


def on_signal(_number, _frame):
    raise KeyboardInterrupt


def main(words=None):
    args = read_args(words)
    now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    args.out = args.out or os.path.join(BUILD, f"compare-{now.strftime('%Y%m%dT%H%M%SZ')}.json")
    report = {"date": now.isoformat(), "machine": {}, "versions": {}, "results": []}
    draw, code = random.Random(args.seed), 0
    signal.signal(signal.SIGTERM, on_signal)
    try:
        files = prepare(args)
        report["options"] = dict(vars(args))
        for path, names in files:
            measure(args, report, path, names, draw)
    except KeyboardInterrupt:
        print("compare.py: interrupted", file=sys.stderr)
        code = 130
    except (Failure, OSError) as why:
        print(f"compare.py: {why}", file=sys.stderr)
        code = 1
    if os.path.exists(f"{args.out}.part"):
        os.remove(f"{args.out}.part")
    show(report, args.out)
    return code


if __name__ == "__main__":
    sys.exit(main())
