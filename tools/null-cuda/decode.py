#!/usr/bin/env python3
"""What one token and layer of generation ask of a CUDA driver that only keeps the books: launches, uploads, reads, copies.

From runs of two and four layers, and of two lengths: the difference of the differences is one token's share of one layer, and
what is left of a token is what it asks for once.
"""

import argparse
import sys

from measure import account, program

COUNTS = ("launches", "uploads", "reads", "copies", "fills", "allocations")
MOST_LAUNCHES_OF_A_LAYER = 16


def measure(executable, arguments, options):
    """One token's share of a layer, and what it asks for once."""
    few, many = 140, 180  # steps in between, in which no cache grows that would not have grown before
    runs = {}
    for layers in (2, 4):
        for tokens in (few, many):
            chosen = ["--shape", arguments.shape, "--layers", str(layers), "--new-tokens", str(tokens), *options]
            runs[layers, tokens] = account(executable, chosen)
    of_token = {layers: {name: (runs[layers, many][name] - runs[layers, few][name]) / (many - few) for name in COUNTS} for layers in (2, 4)}
    of_layer = {name: (of_token[4][name] - of_token[2][name]) / 2 for name in COUNTS}
    once = {name: of_token[2][name] - 2 * of_layer[name] for name in COUNTS}
    return of_layer, once, runs[4, many]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", help="a built decode, in place of building it")
    parser.add_argument("--shape", default="smollm2-135m")
    parser.add_argument("--f32", action="store_true", help="compute in float32, not bfloat16")
    parser.add_argument("--no-bounds", action="store_true", help="say the numbers and do not judge them")
    arguments = parser.parse_args()
    executable = arguments.program or program("eurus-benches", "decode", "--bench")
    failures = []
    print("what                   of         " + "".join(f"{name:>12}" for name in COUNTS) + "   modules")
    cases = {
        "greedy, 1 x 1": ["--prompts", "1", "--samples", "1"],
        "greedy, 4 x 8": ["--prompts", "4", "--samples", "8"],
        "top-p, 4 x 8": ["--prompts", "4", "--samples", "8", "--temperature", "0.8", "--top-p", "0.9"],
    }
    for what, options in cases.items():
        of_layer, once, run = measure(executable, arguments, options + ([] if arguments.f32 else ["--bf16"]))
        print(f"{what:22} a layer    " + "".join(f"{of_layer[name]:12.2f}" for name in COUNTS) + f"{run['modules']:10}")
        print(f"{'':22} the token  " + "".join(f"{once[name]:12.2f}" for name in COUNTS))
        if of_layer["launches"] > MOST_LAUNCHES_OF_A_LAYER:
            failures.append(f"{what}: {of_layer['launches']:.1f} launches a layer, at most {MOST_LAUNCHES_OF_A_LAYER}")
        for name in ("uploads", "reads"):
            if of_layer[name] > 0:
                failures.append(f"{what}: {of_layer[name]:.2f} {name} a layer, none allowed")
        if once["reads"] > 1:
            failures.append(f"{what}: {once['reads']:.2f} reads a token, one is allowed")
    if failures and not arguments.no_bounds:
        sys.exit("\n".join(failures))


if __name__ == "__main__":
    main()
