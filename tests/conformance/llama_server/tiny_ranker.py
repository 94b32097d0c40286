"""Writes a ranking model of random numbers: what it says means nothing, and that it says it can be tested.

Of BERT's form with a layer that scores, and a vocabulary of letters. As the engine's own tests write one
(`host/engine/tests/engine/tiny_ranker.rs`).
"""

import array
import random
import struct

WIDTH, INNER, LAYERS, HEADS, CONTEXT = 32, 64, 2, 4, 1024
ALIGNMENT = 32

# GGUF's numbers for types of values.
U32, I32, F32, BOOL, TEXT, ARRAY = 4, 5, 6, 7, 8, 9
CONTROL, NORMAL = 3, 1
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PLAIN = {U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}


def text(value):
    """A text with its length."""
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def entry(key, kind, value):
    """A key with its value; of a list the type of what it holds is given."""
    if not isinstance(value, list):
        data = text(value) if kind == TEXT else struct.pack(PLAIN[kind], value)
        return text(key) + struct.pack("<I", kind) + data
    items = [text(item) if kind == TEXT else struct.pack(PLAIN[kind], item) for item in value]
    return text(key) + struct.pack("<IIQ", ARRAY, kind, len(value)) + b"".join(items)


def vocabulary():
    """The special tokens, and each sign at the start of a word and in it."""
    signs = [chr(code) for code in range(0x21, 0x7F) if not chr(code).isupper()]
    return SPECIAL + [token for sign in signs for token in ("\u2581" + sign, sign)]


def metadata(tokens):
    """All keys."""
    kinds = [CONTROL] * len(SPECIAL) + [NORMAL] * (len(tokens) - len(SPECIAL))
    numbers = {
        "bert.block_count": LAYERS, "bert.context_length": CONTEXT, "bert.embedding_length": WIDTH,
        "bert.feed_forward_length": INNER, "bert.attention.head_count": HEADS,
        # Ranking, in llama.cpp's numbers.
        "bert.pooling_type": 4,
        "tokenizer.ggml.token_type_count": 1, "tokenizer.ggml.bos_token_id": SPECIAL.index("[CLS]"),
        "tokenizer.ggml.seperator_token_id": SPECIAL.index("[SEP]"),
        "tokenizer.ggml.padding_token_id": 0, "tokenizer.ggml.unknown_token_id": 1,
        "tokenizer.ggml.mask_token_id": SPECIAL.index("[MASK]"),
    }
    return [
        entry("general.architecture", TEXT, "bert"),
        entry("bert.attention.layer_norm_epsilon", F32, 1e-6),
        entry("bert.attention.causal", BOOL, False),
        entry("tokenizer.ggml.model", TEXT, "bert"),
        entry("tokenizer.ggml.pre", TEXT, "default"),
        entry("tokenizer.ggml.tokens", TEXT, tokens),
        entry("tokenizer.ggml.token_type", I32, kinds),
        *(entry(key, U32, number) for key, number in numbers.items()),
    ]


def shapes(tokens):
    """Names of tensors with their shapes, the fastest-running dimension first."""
    yield "token_embd.weight", (WIDTH, tokens)
    yield "position_embd.weight", (WIDTH, CONTEXT)
    square = (WIDTH, WIDTH)
    pairs = [("token_embd_norm", (WIDTH,)), ("cls", square), ("cls.output", (WIDTH, 1))]
    for layer in range(LAYERS):
        parts = {part: square for part in ("attn_q", "attn_k", "attn_v", "attn_output")}
        parts |= {"attn_output_norm": (WIDTH,), "layer_output_norm": (WIDTH,)}
        parts |= {"ffn_up": (WIDTH, INNER), "ffn_down": (INNER, WIDTH)}
        pairs += [(f"blk.{layer}.{part}", shape) for part, shape in parts.items()]
    for name, shape in pairs:
        yield f"{name}.weight", shape
        yield f"{name}.bias", shape[-1:]


def write(path):
    """Writes the file; its bytes are the same each time."""
    drawn = random.Random(7)
    tokens = vocabulary()
    keys = metadata(tokens)
    infos, data = [], b""
    for name, shape in shapes(len(tokens)):
        dimensions = b"".join(struct.pack("<Q", size) for size in shape)
        infos.append(text(name) + struct.pack("<I", len(shape)) + dimensions + struct.pack("<IQ", 0, len(data)))
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        data += array.array("f", (drawn.uniform(-0.5, 0.5) for _ in range(count))).tobytes()
        data += bytes(-len(data) % ALIGNMENT)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(infos), len(keys)) + b"".join(keys + infos)
    path.write_bytes(head + bytes(-len(head) % ALIGNMENT) + data)
