#!/usr/bin/env python3
"""Answers of a tiny checkpoint by `eurus generate --device cuda`, on a CUDA driver that only keeps the books.

A program that panics, as one does of which a kernel does not compile, is a failure, and so is one that answers otherwise than it was
asked to or that reads from the device more than once a token. What is drawn means nothing: the driver computes nothing.
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

from measure import account, program

SAMPLES = 2
PROMPTS = 2


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", help="a built eurus, in place of building it")
    arguments = parser.parse_args()
    executable = arguments.program or program("eurus-cli", "eurus", "--bin")
    few, many = 8, 40
    runs = {}
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        sizes = "--problems 24 --held-out 6 --hidden-size 32 --heads 2 --vocabulary 400 --context 1024".split()
        subprocess.run([executable, "recipe", "practice", *sizes, "--out", place / "practice"], check=True, stdout=subprocess.DEVNULL)
        for tokens in (few, many):
            options = ["--model", place / "practice/model", "--data", place / "practice/data/ultrainteract-sft/rows.jsonl"]
            options += ["--limit", PROMPTS, "--samples", SAMPLES, "--temperature", 0, "--max-tokens", tokens, "--json"]
            options += ["--out", place / f"{tokens}.jsonl"]
            runs[tokens] = account(executable, [str(it) for it in options], command=["generate"])
    print("tokens   launches    uploads      reads     copies   modules")
    for tokens, run in runs.items():
        print(f"{tokens:6}" + "".join(f"{run[name]:11}" for name in ("launches", "uploads", "reads", "copies")) + f"{run['modules']:10}")
        drawn, wanted = run["run"]["new_tokens"], PROMPTS * SAMPLES * tokens
        if drawn != wanted:
            sys.exit(f"{drawn} tokens were drawn, and {wanted} were asked for")
    of_token = {name: (runs[many][name] - runs[few][name]) / (many - few) for name in ("launches", "uploads", "reads")}
    print("a token" + "".join(f"{count:11.2f}" for count in of_token.values()))
    if of_token["launches"] == 0:
        sys.exit("nothing was computed on the device")
    if of_token["reads"] > 1:
        sys.exit(f"{of_token['reads']:.2f} reads a token, one is allowed")


if __name__ == "__main__":
    main()
