#!/usr/bin/env python3
"""Chat templates between rbench and the PyPI package `jinja2`: random templates, both must agree.

Templates are grown from the grammar that rbench runs, good and bad ones. Where the package gives a
text, rbench gives the same or says RB_ERR_UNSUPPORTED; where the package fails, so does rbench. What
the package does late (map, select ..., conditions of loops) rbench does at once, and so may fail
where the package never gets there: such cases are marked "lazy".
Usage: tests/chat_package.py [TEST_CHAT [CASES [SEED]]]   Without the package: says "skipped".
"""
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import warnings

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "vectors", "chat"))
try:
    from make import outcome
except ImportError as why:
    print(f"skipped: {why}")
    sys.exit(0)

NAMES = ["messages", "x", "y", "ns", "n", "s", "d", "l", "nothing", "tools", "bos_token",
         "add_generation_prompt"]
WORDS = ["", "a", "user", "system", "Hello, World", " pad ", "\\n", "é日本", "<|im_start|>", "a,b,,c",
         "x\\ty", "\\u00e9", "1", "-12", "\\\\", "it\\'s", "  "]
FILTERS = ["trim", "length", "upper", "lower", "capitalize", "default('z')", "default('z', true)",
           "join(', ')", "join", "first", "last", "tojson", "tojson(indent=2)",
           "tojson(ensure_ascii=true)", "replace('a', 'bb')", "list", "items", "string", "int", "count",
           "map('upper')", "map(attribute='role')", "selectattr('role', 'equalto', 'user')", "select",
           "rejectattr('role', 'in', ['user', 'system'])", "reject('none')", "d(1)", "dictsort",
           "trim('a ')", "replace('a', '', 1)", "int(7)"]
TESTS = ["defined", "undefined", "none", "string", "mapping", "iterable", "sequence", "number",
         "integer", "boolean", "true", "false", "odd", "even", "eq 1", "in ['a', 1]", "equalto('user')",
         "ne 'a'", "gt 0", "le 2"]
METHODS = ["strip()", "lstrip()", "rstrip('l \\n')", "split()", "split(',')", "split('l', 1)",
           "split(None, 1)", "startswith('a')", "endswith(('d', ' '))", "upper()", "lower()",
           "capitalize()", "replace('l', 'L')", "replace('l', 'L', 1)", "get('role')", "get('q', 1)",
           "items()", "keys()", "values()", "join(['a', 'b'])", "format(1)"]
OPERATORS = ["+", "+", "-", "*", "//", "%", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in",
             "and", "or"]
LOOP = ["index", "index0", "first", "last", "length", "revindex", "revindex0", "previtem", "nextitem"]
MESSAGES = [
    [],
    [{"role": "user", "content": "Hi"}],
    [{"role": "system", "content": " Be brief.\n"}, {"role": "user", "content": "é 日本 \"q\" <b>"},
     {"role": "assistant", "content": "<think>a</think>b"}, {"role": "user", "content": ""}],
]


class Grower:
    def __init__(self, seed):
        self.r = random.Random(seed)
        self.loops = 0

    def pick(self, *choices):
        return self.r.choice(choices)()

    def expression(self, depth):
        if depth <= 0 or self.r.random() < 0.15:
            return self.atom(depth)
        e = lambda: self.expression(depth - 1)
        return self.pick(
            lambda: self.atom(depth),
            lambda: f"{e()} {self.r.choice(OPERATORS)} {e()}",
            lambda: f"({e()} {self.r.choice(OPERATORS)} {e()})",
            lambda: f"not {e()}",
            lambda: f"-{self.atom(depth)}",
            lambda: f"({e()} if {e()} else {e()})",
            lambda: f"({e()} if {e()})",
            lambda: f"{self.atom(depth)} is {self.r.choice(['', 'not '])}{self.r.choice(TESTS)}",
            lambda: f"({e()})|{self.r.choice(FILTERS)}",
            lambda: f"{self.atom(depth)}|{self.r.choice(FILTERS)}|{self.r.choice(FILTERS)}",
            lambda: f"{self.atom(depth)}.{self.r.choice(METHODS)}",
            lambda: f"{self.named()}[{self.slice(depth)}]",
        )

    def named(self):
        return self.pick(lambda: self.r.choice(NAMES), lambda: "messages[0].content", lambda: "(s ~ x)")


    def slice(self, depth):
        n = lambda: self.r.choice(["", "0", "1", "-1", "2", "-2", "9", "-9"])
        return self.pick(lambda: f"{n()}:{n()}", lambda: f"{n()}:{n()}:{n()}",
                         lambda: str(self.r.randint(-3, 3)), lambda: "'role'", lambda: "'content'",
                         lambda: self.expression(depth - 1))

    def atom(self, depth):
        e = lambda: self.expression(depth - 2)
        loop = f"loop.{self.r.choice(LOOP)}" if self.loops or self.r.random() < 0.02 else "messages"
        return self.pick(
            lambda: self.r.choice(NAMES),
            lambda: self.r.choice(NAMES),
            lambda: "'%s'" % self.r.choice(WORDS),
            lambda: '"%s"' % self.r.choice(WORDS),
            lambda: str(self.r.choice([0, 1, 2, 3, 7, 100, 9223372036854775807])),
            lambda: self.r.choice(["true", "false", "none", "True", "None"]),
            lambda: f"[{e()}, {e()}]",
            lambda: f"({e()}, {e()})",
            lambda: f"{{'role': {e()}, 'k': {e()}}}",
            lambda: f"messages[{self.r.randint(-2, 2)}].{self.r.choice(['role', 'content', 'x'])}",
            lambda: "messages[0]['content']",
            lambda: f"ns.{self.r.choice(['a', 'b', 'c'])}",
            lambda: f"range({self.r.randint(-1, 5)})",
            lambda: loop,
            lambda: "m.content" if self.loops else "s",
            lambda: f"f({e()})",
        )

    def tag(self, body):
        left = self.r.choice(["{%", "{%", "{%-", "{%+"])
        right = self.r.choice(["%}", "%}", "-%}", "+%}"])
        return f"{left} {body} {right}"

    def text(self):
        return self.r.choice(["", "", " ", "\n", "  \n  ", "text", "\n  x\n", "\t", "{ }", "%}", "é ", "\r\n"])

    def body(self, depth):
        return "".join(self.text() + self.statement(depth) for _ in range(self.r.randint(0, 3))) + self.text()

    def statement(self, depth):
        out = lambda: "%s %s %s" % (self.r.choice(["{{", "{{", "{{-"]), self.expression(3),
                                    self.r.choice(["}}", "}}", "-}}"]))
        if depth <= 0:
            return out()
        b = lambda: self.body(depth - 1)
        return self.pick(
            out, out, out,
            lambda: "{#%s c %s#}" % (self.r.choice(["", "-", "+"]), self.r.choice(["", "-", "+"])),
            lambda: self.tag(f"if {self.expression(2)}") + b() + self.tag("endif"),
            lambda: self.tag(f"if {self.expression(2)}") + b() + self.tag(f"elif {self.expression(2)}") + b()
            + self.tag("else") + b() + self.tag("endif"),
            lambda: self.loop(depth), lambda: self.loop(depth),
            lambda: self.tag(f"set {self.r.choice(['x', 'y', 'ns.a', 'ns.c'])} = {self.expression(2)}"),
            lambda: self.tag(f"set x, y = {self.expression(1)}, {self.expression(1)}"),
            lambda: self.tag("set x" + self.r.choice(["", " | trim", " | upper"])) + b() + self.tag("endset"),
            lambda: self.tag("filter trim") + b() + self.tag("endfilter"),
            lambda: self.tag("generation") + b() + self.tag("endgeneration"),
            lambda: self.macro(depth),
        )

    def loop(self, depth):
        over = self.pick(lambda: "messages", lambda: "messages[1:]", lambda: self.expression(2),
                         lambda: "range(3)", lambda: "l", lambda: "d.items()")
        target = self.r.choice(["m", "m", "x", "m, y"])
        some = f" if {self.expression(1)}" if self.r.random() < 0.2 else ""
        head = self.tag(f"for {target} in {over}{some}")
        self.loops += 1
        body = self.body(depth - 1)
        if self.r.random() < 0.2:
            body += self.tag(f"if {self.expression(1)}") + self.tag(self.r.choice(["break", "continue"]))
            body += self.tag("endif") + self.text()
        self.loops -= 1
        otherwise = self.tag("else") + self.body(depth - 1) if self.r.random() < 0.2 else ""
        return head + body + otherwise + self.tag("endfor")

    def macro(self, depth):
        loops, self.loops = self.loops, 0
        body = self.body(depth - 1).replace("f(", "(")
        self.loops = loops
        return self.tag("macro f(x, y='w')") + body + self.tag("endmacro")

    def template(self):
        start = ("{%- set ns = namespace(a=1, b='t') -%}{%- set n = 3 -%}{%- set s = 'Hello, é' -%}"
                 "{%- set d = {'role': 'user', 'b': 2} -%}{%- set l = ['b', 'a', 'c'] -%}")
        if self.r.random() < 0.7:
            start += "{% macro f(x, y=2) -%}[{{ x }}{{ y }}]{%- endmacro -%}"
        return start + self.body(3)

    def case(self, name):
        case = {"name": name, "template": self.template(), "messages": self.r.choice(MESSAGES),
                "add_generation_prompt": self.r.random() < 0.5, "bos": "<s>", "eos": "</s>"}
        case["lazy"] = re.search(r"map\(|select|reject|for [^%]* in [^%]* if ", case["template"]) is not None
        return case | outcome(case)


def main():
    warnings.simplefilter("ignore", SyntaxWarning)  # of the Python that the package writes
    program = sys.argv[1] if len(sys.argv) > 1 else "build/release/tests/test_chat"
    n = int(sys.argv[2]) if len(sys.argv) > 2 else 3000
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    if not os.path.exists(program):
        print(f"skipped: {program} is not built")
        return
    cases = [Grower(seed * 1000003 + i).case(f"seed {seed}, case {i}") for i in range(n)]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
        json.dump(cases, f)
        f.flush()
        env = os.environ | {"RBENCH_CHAT_CASES": f.name}
        done = subprocess.run([program, "-j1", "--filter", "chat/cases"], env=env, capture_output=True,
                              text=True)
    if done.returncode:
        sys.exit(f"FAILED: {done.stderr[-3000:]}{done.stdout[-1000:]}")
    good = sum("text" in c for c in cases)
    print(f"ok: {n} random templates agree with the package, {good} of them render")


if __name__ == "__main__":
    main()
