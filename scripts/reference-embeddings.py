#!/usr/bin/env python3
"""Makes the reference vectors that the embedding tests compare with.

    python3 scripts/reference-embeddings.py MODEL_FOLDER > host/models/tests/reference-embeddings.json

MODEL_FOLDER holds model.safetensors, config.json and tokenizer.json of all-MiniLM-L6-v2. Needs the
packages numpy, safetensors and tokenizers. The model is computed here step by step in 64-bit floats
from the original weights, so that it shares nothing with the converter or with llama.cpp.
"""

import json
import math
import sys

import numpy
from safetensors.numpy import load_file
from tokenizers import Tokenizer

# What people ask and what is in their documents: short and long, with accents, signs, other
# scripts, words the vocabulary does not know, odd spaces.
TEXTS = [
    "How do I back up my node?",
    "What is the capital of France?",
    "Paris is the capital and most populous city of France.",
    "A node keeps its key in the keystore; without the password nobody can use it.",
    "Hello",
    "hello world!",
    "The quick brown fox jumps over the lazy dog.",
    "Café crème, naïve façade, Ångström, Übergröße.",
    "Zażółć gęślą jaźń",
    "Wo liegt die Datei config.toml, und wie ändere ich den Port?",
    "中文句子也要能处理。",
    "Москва — столица России.",
    "E = mc² and 3.14159 ≈ π",
    "fn main() { println!(\"{}\", 1 + 2); }",
    "https://example.org/path?query=1&other=two#part",
    "Antidisestablishmentarianism and pneumonoultramicroscopicsilicovolcanoconiosis",
    "don't stop -- it's 5 o'clock (or 17:00)...",
    "  leading,\ttabs\tand\n\nnew lines  ",
    "Emoji 🙂 are words the model does not know.",
    "The first paragraph explains what the machine does. The second one tells how to switch it on, "
    "what to do when the lamp stays dark, and whom to call when nothing helps. Whoever has read "
    "both knows everything there is to know, apart from the price, which depends on the season, "
    "the weather, and the mood of the person who sells it.",
]

SIGNIFICANT_DIGITS = 7


def norm(x, weights, name, epsilon):
    mean = x.mean(-1, keepdims=True)
    deviation = numpy.sqrt(((x - mean) ** 2).mean(-1, keepdims=True) + epsilon)
    return (x - mean) / deviation * weights[name + ".weight"] + weights[name + ".bias"]


def linear(x, weights, name):
    return x @ weights[name + ".weight"].T + weights[name + ".bias"]


def gelu(x):
    return x * 0.5 * (1 + numpy.vectorize(math.erf)(x / math.sqrt(2)))


def attention(x, weights, name, heads):
    length, size = x.shape
    query, key, value = (
        linear(x, weights, f"{name}.self.{part}").reshape(length, heads, size // heads).transpose(1, 0, 2)
        for part in ("query", "key", "value")
    )
    scores = query @ key.transpose(0, 2, 1) / math.sqrt(size // heads)
    shares = numpy.exp(scores - scores.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    return linear((shares @ value).transpose(1, 0, 2).reshape(length, size), weights, f"{name}.output.dense")


def embed(ids, weights, config):
    epsilon = config["layer_norm_eps"]
    x = (
        weights["embeddings.word_embeddings.weight"][ids]
        + weights["embeddings.position_embeddings.weight"][: len(ids)]
        + weights["embeddings.token_type_embeddings.weight"][0]
    )
    x = norm(x, weights, "embeddings.LayerNorm", epsilon)
    for layer in range(config["num_hidden_layers"]):
        name = f"encoder.layer.{layer}"
        attended = attention(x, weights, f"{name}.attention", config["num_attention_heads"])
        x = norm(x + attended, weights, f"{name}.attention.output.LayerNorm", epsilon)
        inner = gelu(linear(x, weights, f"{name}.intermediate.dense"))
        x = norm(x + linear(inner, weights, f"{name}.output.dense"), weights, f"{name}.output.LayerNorm", epsilon)
    mean = x.mean(0)
    return mean / numpy.linalg.norm(mean)


def main(folder):
    with open(f"{folder}/config.json", encoding="utf-8") as file:
        config = json.load(file)
    weights = {name: tensor.astype(numpy.float64) for name, tensor in load_file(f"{folder}/model.safetensors").items()}
    tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
    tokenizer.no_padding()
    tokenizer.no_truncation()
    lines = []
    for text in TEXTS:
        ids = tokenizer.encode(text).ids
        vector = [float(f"{n:.{SIGNIFICANT_DIGITS}g}") for n in embed(ids, weights, config)]
        entry = {"text": text, "tokens": ids, "vector": vector}
        lines.append(json.dumps(entry, ensure_ascii=False, separators=(",", ":")))
    print("[" + ",\n".join(lines) + "]")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
