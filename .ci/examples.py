#!/usr/bin/env python3
"""Runs every example of the workspace, as cargo lists them: one that is not in the table below is a failure.

Given the folder of a run of the quickstart, whose model some examples want. Those of the package of examples are built as the
quickstart was; those of the libraries run as `cargo test --workspace` built them. Each has two minutes.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

run = Path(sys.argv[1])
model = str(run / "sft")
seconds = 120

# Arguments, and what the example reads. A text says which part of the check runs it.
work = '{"prompt": [1, 2, 3], "answers": [[4, 5], [6]]}\n'
table = {
    ("eurus-examples", "quickstart"): "quickstart",
    ("eurus-examples", "preference_algorithms"): "experiments",
    ("eurus-examples", "process_rewards"): "experiments",
    ("eurus-examples", "reward_model_ldr"): "experiments",
    ("eurus-examples", "tree_vs_flat"): "experiments",
    ("eurus-examples", "cross_domain"): "experiments",
    ("eurus-examples", "critique_strength"): "experiments",
    ("eurus-examples", "sft_mixture"): "experiments",
    ("eurus-examples", "smollm2"): "experiments",
    ("eurus-examples", "bring_your_own_model"): ([], ""),
    ("eurus-examples", "build_trees"): ([], ""),
    ("eurus-examples", "loss_of_your_own"): ([], ""),
    ("eurus-examples", "rerank"): ([], ""),
    ("eurus-examples", "serve_and_ask"): ([], ""),
    ("code-interpreter", "judging"): (["500"], ""),
    ("code-interpreter", "throughput"): (["200", "2"], ""),
    ("eurus-cli", "logits"): ([model, "1,2,3"], ""),
    ("eurus-eval", "sample_report"): ([str(run.parent / "sample.html")], ""),
    ("eurus-models", "generation_speed"): ([model], "2 2 8\n"),
    ("eurus-report", "healthy_and_sick"): ([str(run.parent / "pictures")], ""),
    ("eurus-train", "scoring_speed"): (["policy", model, str(run.parent / "work.jsonl")], "512\n"),
    ("pref-losses", "two_parameters"): ([], ""),
}

metadata = subprocess.run(
    ["cargo", "metadata", "--no-deps", "--format-version", "1"], check=True, capture_output=True, text=True
)
listed = {
    (package["name"], target["name"])
    for package in json.loads(metadata.stdout)["packages"]
    for target in package["targets"]
    if target["kind"] == ["example"]
}
failed = [f"{package}: the example {name} is not in .ci/examples.py" for package, name in sorted(listed - set(table))]
failed += [f"{package}: there is no example {name}" for package, name in sorted(set(table) - listed)]

(run.parent / "work.jsonl").write_text(work)
for (package, name), how in sorted(table.items()):
    if (package, name) not in listed:
        continue
    if isinstance(how, str):
        print(f"{name}: run by the part {how}")
        continue
    arguments, read = how
    if package == "eurus-examples":
        subprocess.run(["cargo", "build", "--release", "--example", name], check=True)
        program = f"target/release/examples/{name}"
    else:
        program = f"target/debug/examples/{name}"
        if not Path(program).exists():
            subprocess.run(["cargo", "build", "-p", package, "--example", name], check=True)
    begun = time.monotonic()
    try:
        ended = subprocess.run(
            [program, *arguments], input=read, timeout=seconds, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except subprocess.TimeoutExpired:
        failed.append(f"{name} took more than {seconds} s")
        continue
    print(f"{name}: {time.monotonic() - begun:.1f} s")
    if ended.returncode != 0:
        failed.append(f"{name} ended with {ended.returncode}:\n{ended.stdout[-3000:]}")

print("\n".join(failed))
print(f"{len(listed)} examples, {len(failed)} failures")
sys.exit(bool(failed))
