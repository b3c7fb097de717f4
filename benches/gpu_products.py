"""Matrix products of Mistral-7B's layers by PyTorch, which calls the vendor's library: one line of JSON, beside `train_step --rates`."""

import json
import time

import torch

TOKENS, WIDTH, WIDE, KEYS, VOCAB = 8192, 4096, 14336, 1024, 32000

# Rows, columns and inner dimension; which of the factors lies transposed.
PRODUCTS = [
    ("queries", TOKENS, WIDTH, WIDTH, "nt"),
    ("keys", TOKENS, KEYS, WIDTH, "nt"),
    ("gate", TOKENS, WIDE, WIDTH, "nt"),
    ("down", TOKENS, WIDTH, WIDE, "nt"),
    ("logits", TOKENS, VOCAB, WIDTH, "nt"),
    ("gradient of gate's input", TOKENS, WIDTH, WIDE, "nn"),
    ("gradient of gate's weight", WIDE, WIDTH, TOKENS, "tn"),
]


def matrix(rows, columns, is_transposed):
    shape = (columns, rows) if is_transposed else (rows, columns)
    numbers = torch.randn(shape, device="cuda", dtype=torch.bfloat16)
    return numbers.t() if is_transposed else numbers


def seconds(a, b, calls=10):
    """Of one call, of the fastest of many rounds in half a second."""
    a @ b
    torch.cuda.synchronize()
    best, started = float("inf"), time.perf_counter()
    while time.perf_counter() - started < 0.5:
        start = time.perf_counter()
        for _ in range(calls):
            a @ b
        torch.cuda.synchronize()
        best = min(best, (time.perf_counter() - start) / calls)
    return best


rows = []
for what, m, n, k, layout in PRODUCTS:
    taken = seconds(matrix(m, k, layout[0] == "t"), matrix(k, n, layout[1] == "t"))
    rows.append({"what": what, "m": m, "n": n, "k": k, "tflops": 2 * m * n * k / taken / 1e12})
print(json.dumps({"torch": torch.__version__, "products": rows}))
