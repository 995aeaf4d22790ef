#!/usr/bin/env python3
"""Compares token ids with llama.cpp's and with those of the package tokenizers, line by line.

usage: tokens.py [--lines N] [--seed S] [--show N] [--rbench PROGRAM] MODEL...
MODEL is a GGUF file (peer: llama-cpp-python) or a directory with tokenizer.json (peer: tokenizers).
The corpus is made from the seed: code, prose in many scripts, emoji, odd spaces, digits, special
tokens and broken UTF-8. Prints how many lines differ and says which; exit 1 if any does.
Judges neither speed nor text. Read next: README.md.
"""
import argparse
import ctypes
import json
import os
import random
import subprocess
import sys
import tempfile
import unicodedata

WORDS = {
    "latin": "the of and naïve café résumé Zürich Łódź øre smörgåsbord İstanbul ſo ﬁne groß Ÿ "
             "façade piñata dž Dž e\u0301 o\u0308 n\u0303 a\u030a\u0323 I'm you're THEY'LL don't "
             "we'Ve O'Neil 'tis rock'n'roll can't've it'ſ 's 'S 'RE l'été d'accord".split(),
    "greek": "λόγος Ελλάδα ἀρχή ᾧ ΣΊΣΥΦΟΣ ὀδός".split(),
    "cyrillic": "привет мир Ёлка ёж їжак съешь ещё этих мягких французских булок".split(),
    "hebrew": "שלום עולם בְּרֵאשִׁית יִשְׂרָאֵל".split(),
    "arabic": "مرحبا بالعالم السَّلَامُ عَلَيْكُم ٱلْحَمْدُ لِلَّٰهِ ١٢٣٤ ۴۵۶ ـــ".split(),
    "devanagari": "नमस्ते दुनिया क्षत्रिय हिन्दी १२३ श्री ज्ञान".split(),
    "bengali": "বাংলা ভাষা কৃষ্ণ".split(),
    "tamil": "தமிழ் வணக்கம்".split(),
    "thai": "สวัสดีชาวโลก ภาษาไทย ๑๒๓ กำลัง น้ำ".split(),
    "khmer": "ខ្មែរ ភាសា".split(),
    "tibetan": "བོད་སྐད་ བཀྲ་ཤིས་".split(),
    "georgian": "საქართველო ᲡᲐᲥᲐᲠᲗᲕᲔᲚᲝ Ⴀⴀ".split(),
    "armenian": "Հայաստան բարև".split(),
    "ethiopic": "ሰላም ዓለም ፩፪፫".split(),
    "cherokee": "ᏣᎳᎩ ꭳꮟᏺ".split(),
    "han": "你好 世界 漢字 繁體字 中文，标点。 「引号」 龥龦 㐀㐁 𠀀𠮷 豈更 々〇 第一百二十三章".split(),
    "kana": "こんにちは 世界 カタカナ ﾊﾝｶｸ がぎぐ か\u3099 ーー ヿゟ".split(),
    "hangul": "안녕하세요 세계 \u1112\u1161\u11ab\u1100\u116e\u11a8 ㄱㄴㄷ ﾡ".split(),
    "rare": "𝒜𝓁𝓅𝒽𝒶 𝟘𝟙𝟚 𐐀𐐨 𐒰 𓀀𓁀 𞤀𞤢 ꙮ Ⅷ ⅷ ½ ²³ ⑩ ㊿ ㎏ ℵ ℃ № ™ ª º ʰ ˈ ꜀ ＡＢＣ１２３ ﷽".split(),
}
EMOJI = ["😀", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪🇯🇵", "🇺", "❤️", "☺", "👨🏿‍🚀", "1️⃣", "#️⃣", "🫠",
         "🧑‍🤝‍🧑", "🏴\U000e0067\U000e0062\U000e007f", "✔️", "→", "♥︎", "\u200d", "\ufe0f"]
SPACES = ["\u00a0", "\u2003", "\u3000", "\u200b", "\t", "\r", "  ", "   ", "\x0b", "\x0c", "\x85",
          "\u2028", "\u2029", "\u1680", "\u202f", "\u205f", "\ufeff", "\x1c", "\x1f", "\u180e",
          " \t ", "\r\r", " \r ", "        ", "\u2009\u2009", "\u3000\u3000", "▁", "▁▁"]
MARKS = ["...", "!!!", "?!", "--", "—", "–", "“", "”", "‘", "’", "«", "»", "(", ")", "[", "]", "{",
         "}", "$", "€", "£", "%", "^", "&", "*", "~", "`", "```", "|", "||", "\\", "/", "//", "/*",
         "*/", "#", "##", "@", "=", "==", "!=", "<=", ">=", "->", "=>", "::", ";", ":", ",", ".",
         "、", "。", "，", "！", "？", "；", "（", "）", "【", "】", "…", "·", "¿", "¡", "§", "¶", "†", "×",
         "÷", "±", "≤", "∞", "∑", "√", "_", "__", "'", "''", "\"", "\"\"", "^^", "+", "++", "<<", ">>"]
CODE = ["int main(void) { return 0; }", "for (int i = 0; i < n; i++)", "    if (x != NULL) {",
        "\t\treturn self.__dict__['a_b']", "#include <stdio.h>", "def f(x: int = 0x7F) -> str:",
        "SELECT * FROM t WHERE a='b';", "std::vector<std::pair<int, float>> v;", "$HOME/.bashrc",
        "x = y**2 + 3.14159e-10", "printf(\"%5.2f\\n\", x);", "<div class=\"a\">&nbsp;</div>",
        "let s = 'it''s';", "camelCaseHTTPServer_v2", "http://example.org/a?b=c&d=%20#e",
        "}\r", "  - [x] **bold** _it_ `c`", "\\frac{1}{2}\\alpha_{i,j}", "a[i]=b[j]^0xFFu;",
        "λx.x", "import os, sys;sys.exit(1)", "                        deep", "\"\\u00e9\\x00\"",
        "C:\\Windows\\System32", "user@example.com", "2024-01-31T12:34:56.789Z", "v1.2.3-rc.4+5"]
BROKEN = [b"\x80", b"\xff", b"\xfe", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xc0\x80", b"\xe0\x80\x80",
          b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xbf\xbf", b"\xe4\xb8", b"\xc3(", b"\xf0\x28\x8c\xbc",
          b"\xe2\x28\xa1", b"\xc1\xbf", b"\xf1\x80", b"\xf8", b"\xfc\x80", b"a\xccb"]
SPECIAL = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<s>", "</s>", "<unk>", "<|eot_id|>",
           "<|begin_of_text|>", "<|end_of_text|>", "<|user|>", "<|end|>", "<|assistant|>", "[INST]",
           "[/INST]", "<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>", "<|fim_prefix|>",
           "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<|im_start", "im_end|>", "<|", "|>",
           "<0x0A>", "<0xE2>", "<fim_prefix>", "<filename>", "<|padding|>", "<|file_sep|>",
           "<|start_header_id|>", "<pad>", "<mask>", "<|EOT|>", "<｜User｜>", "<think>", "</think>",
           "<tool_call>", "<b>", "</b>", "<unused1>"]


def piece(r):
    kind = r.randrange(20)
    if kind < 8:
        words = WORDS[r.choice(list(WORDS))]
        return r.choice([" ", " ", "", "  "]).join(r.choice(words) for _ in range(r.randint(1, 5)))
    if kind == 8:
        return "".join(r.choice(EMOJI) for _ in range(r.randint(1, 4)))
    if kind == 9:
        return "".join(r.choice(SPACES) for _ in range(r.randint(1, 4)))
    if kind == 10:
        return "".join(r.choice("0123456789") for _ in range(r.randint(1, 30)))
    if kind == 11:
        return "".join(r.choice(MARKS) for _ in range(r.randint(1, 6)))
    if kind < 14:
        return r.choice(CODE)
    if kind == 14:
        return r.choice(SPECIAL)
    if kind == 15:
        return r.choice("abcxyz=-*# _é你") * r.randint(1, 60)
    if kind == 16:
        return "".join(chr(r.choice([i for i in range(32) if i != 10] + [127])) for _ in range(3))
    if kind == 17:
        return "".join(anything(r) for _ in range(r.randint(1, 8)))
    if kind == 18:
        return "".join(chr(r.randint(33, 126)) for _ in range(r.randint(1, 20)))
    return " ".join(r.choice(WORDS["latin"]).title() for _ in range(r.randint(1, 12))) + "."


def anything(r):
    """Any character that this Python knows: what Unicode assigned later has a kind for one side only."""
    while True:
        c = chr(r.choice([r.randint(0x80, 0x2FFF), r.randint(0x3000, 0xFFFF),
                          r.randint(0x10000, 0x10FFFF)]))
        if unicodedata.category(c) not in ("Cn", "Cs"):
            return c


def corpus(n, seed, broken):
    """n lines of bytes without line ends."""
    r = random.Random(seed)
    lines = []
    for _ in range(n):
        line = b""
        for _ in range(r.randint(1, 8)):
            part = piece(r).encode()
            if broken and r.random() < 0.05:
                part += r.choice(BROKEN)
            line += part + r.choice([b" ", b" ", b"", b", ", b"  "])
        lines.append(line.replace(b"\n", b""))
    return lines


class LlamaCpp:
    """Ids by llama_tokenize; the vocabulary only."""

    def __init__(self, path):
        import llama_cpp
        self.api = llama_cpp
        self.quiet = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(
            lambda level, text, arg: None)
        llama_cpp.llama_log_set(self.quiet, None)
        llama_cpp.llama_backend_init()
        how = llama_cpp.llama_model_default_params()
        how.vocab_only = True
        self.model = llama_cpp.llama_model_load_from_file(path.encode(), how)
        if not self.model:
            sys.exit(f"tokens.py: llama.cpp cannot load {path}")
        self.vocab = llama_cpp.llama_model_get_vocab(self.model)
        self.name = f"llama.cpp ({llama_cpp.__version__})"

    def encode(self, line, special, parse):
        room = len(line) * 3 + 16
        ids = (self.api.llama_token * room)()
        n = self.api.llama_tokenize(self.vocab, line, len(line), ids, room, special, parse)
        return list(ids[:n])


class Tokenizers:
    """Ids by tokenizer.json alone."""

    def __init__(self, path):
        import tokenizers
        self.tokenizer = tokenizers.Tokenizer.from_file(os.path.join(path, "tokenizer.json"))
        self.name = f"tokenizers ({tokenizers.__version__})"

    def encode(self, line, special, parse):
        self.tokenizer.encode_special_tokens = not parse
        return self.tokenizer.encode(line.decode(), add_special_tokens=special).ids


def ours(rbench, path, lines, special, parse):
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"".join(line + b"\n" for line in lines))
        file.flush()
        words = [rbench, "tokenize", path, "-f", file.name, "--lines"]
        words += [] if special else ["--no-special"]
        words += ["--parse-special"] if parse else []
        out = subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout
    return [json.loads(line) for line in out.splitlines()]


def compare(path, args):
    gguf = not os.path.isdir(path)
    peer = (LlamaCpp if gguf else Tokenizers)(path)
    lines = corpus(args.lines, args.seed, broken=gguf)
    worst = 0
    for special, parse in ((True, True), (False, False)):
        try:
            mine = ours(args.rbench, path, lines, special, parse)
        except subprocess.CalledProcessError:
            return len(lines)
        wrong = []
        for i, line in enumerate(lines):
            theirs = peer.encode(line, special, parse)
            if mine[i] != theirs:
                wrong.append((i, line, mine[i], theirs))
        print(f"{path}: {len(wrong)} of {len(lines)} lines differ from {peer.name}, "
              f"special={special}, parse={parse}", flush=True)
        for i, line, a, b in wrong[:args.show]:
            at = next((k for k, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
            print(f"  line {i}: {line!r}\n    from token {at}: {a[at:at + 12]} is not {b[at:at + 12]}")
        worst = max(worst, len(wrong))
    return worst


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("model", nargs="+", metavar="MODEL")
    p.add_argument("--lines", type=int, default=10000)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--show", type=int, default=3)
    p.add_argument("--rbench", default="./rbench")
    args = p.parse_args()
    sys.exit(1 if max([compare(path, args) for path in args.model]) else 0)


if __name__ == "__main__":
    main()
