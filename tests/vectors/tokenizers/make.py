#!/usr/bin/env python3
"""Trains the small tokenizers of this folder and writes the ids that the package tokenizers gives.

usage: make.py (in an environment with `tokenizers`). Writes texts.json, and per tokenizer a folder
with tokenizer.json and ids.json: of each text the ids with special tokens added and parsed, and the
ids of plain text. The texts are made here. Read next: ../../test_tokenizer.c.
"""
import json
import os

from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from tokenizers import Regex

HERE = os.path.dirname(os.path.abspath(__file__))
SPACE = "\u2581"

TRAINING = [
    "The engine counts every byte that a kernel reads, and every operation that it does.",
    "int main(void) { for (int i = 0; i < 10; i++) printf(\"%d\\n\", i); return 0; }",
    "    if (x == NULL) {\n\t\treturn -1;\n    }\n\n\n", "It's what they're doing; we'll see, don't we?",
    "IT'S WHAT THEY'RE DOING", "1 12 123 1234 12345 2024-01-31 3.14159",
    "Größe, naïve, façade, Łódź, señor, über, été, cœur", "привет мир, это проверка",
    "你好，世界。这是一个测试。漢字かな交じり文テスト", "안녕하세요 세계", "مرحبا بالعالم", "नमस्ते दुनिया",
    "<div class=\"a\">x &amp; y</div>", "😀😀👍🏽 ❤️", "aaaaaaaaaaaaaaaa bbbbbbbb", "  two   three    four",
] * 8

TEXTS = [
    "", " ", "  ", "a", " a", "a ", "  a  ", "Hello, world!", "It's", "IT'S", "it'S we'LL they'Re I'M",
    "don't can't 'tis 's 't '", "'\u017f it'\u017fx", "''s", "a's's", "1", "12", "123", "1234", "1234567890",
    "a1b22c333d4444", " 12 345", "3.14159e-10", "\u0661\u0662\u0663\u0664", "\u00bd\u00b2\u2167 x\u00b2", "x=1;y=2",
    "\n", "\n\n\n", "a\nb", "a\n\nb", "a \n b", "a\r\nb\r\n", "\r", "\t\ta", "a\t", " \t \n  \n   x",
    "x   \n", "a    b", "a     ", "!!!", "...a", " ...", "a...\n\n", "(a)[b]{c}<d>", "$5 %x ^y &z *w",
    "a_b __init__ --flag", "http://a.b/c?d=e#f", "#include <stdio.h>\n", "naïve façade Größe", "e\u0301 o\u0308",
    "\u0301", "a\u0301\u0323b\u0323\u0301", "\uac00\u1100\u1161", "привет мир", "ПРИВЕТ, мир!", "你好世界", "你好，世界。",
    "漢字かなカナ", "abc你好def", " 你好 ", "안녕 세계", "مرحبا", "السَّلَامُ", "नमस्ते", "क्षत्रिय १२३", "สวัสดี", "שלום",
    "😀", "👍🏽 ok", "👩\u200d👩\u200d👧", "🇩🇪🇯🇵", "❤\ufe0f", "a\u00a0b", "a\u2003\u2003b", "\u3000a\u3000", "a\u200bb",
    "\ufeffa", "\u2028\u2029", "\x85a", "a\x7fb", "\x01\x02", "\x1c\x1f", "<s>", "a<s>b", "<s> a </s>", "<s><s>",
    "<|tool|>x", " <|tool|> ", "<|tool", "<mask>", "a <mask> b", " \u3000<mask>\t\nb", SPACE, SPACE + SPACE + "a",
    "a" + SPACE + "b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "\ufffd", "\U000e0067", "\uf8ff", "\U0001d49c\U00010400",
    "A\u01c5B\u02b0", "[INST] x [/INST]", "x\u0308\u0308", "\u1e9b\u0323", "ſt ﬁ ½", "ab<|tool|>cd</s>ef",
]

WORDS = ("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|%s| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
         "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+")
MARKED = ("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}"
          "| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+")
DEEPSEEK3 = ("[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?"
             "[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+")


def split(pattern):
    return pre_tokenizers.Split(Regex(pattern), "isolated")


def byte_level(use_regex=False):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)


def steps(*step):
    return pre_tokenizers.Sequence(list(step))


BYTE_LEVEL = {
    "gpt2": byte_level(True),
    "llama3": steps(split(WORDS % "\\p{N}{1,3}"), byte_level()),
    "qwen2": steps(split(WORDS % "\\p{N}"), byte_level()),
    "qwen35": steps(split(MARKED), byte_level()),
    "smollm": steps(pre_tokenizers.Digits(individual_digits=True), byte_level(True)),
    "deepseek-coder": steps(split("[\r\n]"), split("\\s?\\p{L}+"), split("\\s?\\p{P}+"),
                            split("[一-龥ࠀ-一가-퟿]+"), pre_tokenizers.Digits(individual_digits=True),
                            byte_level()),
    "deepseek3": steps(split("\\p{N}{1,3}"), split("[一-龥\u3040-ゟ゠-ヿ]+"), split(DEEPSEEK3), byte_level()),
}


def specials():
    return [AddedToken("<s>", special=True, normalized=False),
            AddedToken("</s>", special=True, normalized=False),
            AddedToken("<|tool|>", special=False, normalized=True),
            AddedToken("<mask>", special=True, normalized=False, lstrip=True, rstrip=True)]


def trained(tokenizer, first, alphabet):
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=first, initial_alphabet=alphabet,
                                  show_progress=False)
    tokenizer.train_from_iterator(TRAINING, trainer)
    tokenizer.add_special_tokens([t for t in specials() if t.special])
    tokenizer.add_tokens([t for t in specials() if not t.special])
    return tokenizer


def bos_first(tokenizer):
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))])


def byte_tokenizer(name):
    tokenizer = Tokenizer(models.BPE(ignore_merges=name == "llama3"))
    tokenizer.pre_tokenizer = BYTE_LEVEL[name]
    if name.startswith("qwen"):
        tokenizer.normalizer = normalizers.NFC()
    trained(tokenizer, [], pre_tokenizers.ByteLevel.alphabet())
    if name in ("llama3", "deepseek3"):
        bos_first(tokenizer)
    return tokenizer


def piece_tokenizer(name):
    """As Llama 2 (blanks by the normalizer) and as Mistral (by Metaspace), with bytes or unknowns."""
    with_bytes = name != "metaspace-unknown"
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=with_bytes))
    if name == "prepend":
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE),
                                                     normalizers.Replace(" ", SPACE)])
    else:
        scheme = "first" if with_bytes else "always"
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(SPACE, scheme, split=not with_bytes)
    names = ["<unk>"] + (["<0x%02X>" % b for b in range(256)] if with_bytes else [])
    alphabet = sorted(set("".join(TRAINING).replace(" ", SPACE)))[:90]
    trainer = trainers.BpeTrainer(vocab_size=500 if with_bytes else 300, special_tokens=names,
                                  initial_alphabet=alphabet, limit_alphabet=100, show_progress=False)
    # Training cuts at blanks; encoding then does what the file says.
    how, tokenizer.pre_tokenizer = tokenizer.pre_tokenizer, pre_tokenizers.Metaspace(SPACE, "always")
    tokenizer.train_from_iterator(TRAINING, trainer)
    document = json.loads(tokenizer.to_str())
    document["pre_tokenizer"] = json.loads(how.__getstate__()) if how else None
    document["added_tokens"] = [t for t in document["added_tokens"] if t["content"] == "<unk>"]
    tokenizer = Tokenizer.from_str(json.dumps(document))
    tokenizer.add_special_tokens([t for t in specials() if t.special])
    tokenizer.add_tokens([t for t in specials() if not t.special])
    bos_first(tokenizer)
    return tokenizer


def write(path, value):
    with open(os.path.join(HERE, path), "w", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=False, separators=(",", ":"))
        file.write("\n")


def ids(tokenizer):
    tokenizer.encode_special_tokens = False
    parsed = [tokenizer.encode(text).ids for text in TEXTS]
    tokenizer.encode_special_tokens = True
    plain = [tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS]
    return {"parsed": parsed, "plain": plain}


def main():
    made = {name: byte_tokenizer(name) for name in BYTE_LEVEL}
    made.update({name: piece_tokenizer(name) for name in ("prepend", "metaspace", "metaspace-unknown")})
    write("texts.json", TEXTS)
    for name, tokenizer in made.items():
        os.makedirs(os.path.join(HERE, name), exist_ok=True)
        write(f"{name}/tokenizer.json", json.loads(tokenizer.to_str()))
        write(f"{name}/ids.json", ids(tokenizer))
        print(name, tokenizer.get_vocab_size())


if __name__ == "__main__":
    main()
