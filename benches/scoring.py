"""Times a padded loop of transformers and the scoring of `eurus score` on the same answers, in turn, and prints the median of the
ratios; checks that log-probs and rewards agree within 1e-4, whatever the batch.

    cargo build --release -p eurus-train --example scoring_speed
    python benches/scoring.py FOLDER [--threads 2] [--runs 5] [--prompts 200] [--what policy reward]

needs torch and transformers. FOLDER is a language model; the reward model is its body with a random head, a sequence classifier of
transformers. Prompts and answers are random tokens: what they say changes no time. transformers reads the answers to a prompt as one
batch, padded on the right, in float32, and makes logits of the answers alone; ours reads them as one tree, with as many trees at a time
as the token budget takes. Loading is in neither time. Only ratios of one sitting count: other programs slow both.
"""

import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

TOLERANCE = 1e-4

here = pathlib.Path(__file__).resolve().parent
parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("--what", nargs="+", choices=["policy", "reward"], default=["policy", "reward"])
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--runs", type=int, default=5)
parser.add_argument("--prompts", type=int, default=200)
parser.add_argument("--prompt-tokens", type=int, default=300)
parser.add_argument("--answers", type=int, default=4)
parser.add_argument("--answer-tokens", type=int, default=150)
parser.add_argument("--spread", type=float, default=0.0, help="share by which the length of an answer is drawn up or down")
parser.add_argument("--budgets", type=int, nargs="+", default=[8192, 1024],
                    help="token budgets of ours; the first is timed, the scores of all are compared")
parser.add_argument("--program", default=str(here.parent / "target/release/examples/scoring_speed"))
options = parser.parse_args()

torch.set_num_threads(options.threads)
torch.manual_seed(0)
draw = random.Random(0)
tokenizer = AutoTokenizer.from_pretrained(options.folder)
special = set(tokenizer.all_special_ids)
plain = [token for token in range(tokenizer.vocab_size) if token not in special]
padding = next(iter(sorted(special)), 0)


def tokens(count):
    return draw.choices(plain, k=count)


def length():
    spread = draw.uniform(-options.spread, options.spread)
    return max(1, round(options.answer_tokens * (1 + spread)))


work = [{"prompt": tokens(options.prompt_tokens), "answers": [tokens(length()) for _ in range(options.answers)]}
        for _ in range(options.prompts)]


def padded(row, answers):
    """The answers to a prompt as one batch: ids and mask."""
    texts = [row["prompt"] + answer for answer in answers]
    width = max(map(len, texts))
    ids = torch.full((len(texts), width), padding)
    mask = torch.zeros_like(ids)
    for at, text in enumerate(texts):
        ids[at, :len(text)] = torch.tensor(text)
        mask[at, :len(text)] = 1
    return ids, mask


def log_probs(model, row, answers):
    ids, mask = padded(row, answers)
    first = len(row["prompt"])
    # What predicts the first token of an answer is the last of the prompt.
    logits = model(input_ids=ids, attention_mask=mask, logits_to_keep=ids.shape[1] - first + 1).logits[:, :-1]
    chosen = ids[:, first:].unsqueeze(-1)
    found = logits.log_softmax(-1).gather(-1, chosen).squeeze(-1)
    return [found[at, :len(answer)].tolist() for at, answer in enumerate(answers)]


def rewards(model, row, answers):
    ids, mask = padded(row, answers)
    return model(input_ids=ids, attention_mask=mask).logits.tolist()


def theirs(score, model, at_once):
    started = time.perf_counter()
    scores = []
    with torch.inference_mode():
        for row in work:
            for first in range(0, len(row["answers"]), at_once):
                scores += score(model, row, row["answers"][first:first + at_once])
    return time.perf_counter() - started, scores


def ours(program, budget):
    print(budget, file=program.stdin, flush=True)
    line = program.stdout.readline()
    if not line:
        sys.exit(f"{options.program} ended with exit code {program.wait()}")
    answer = json.loads(line)
    return answer["seconds"], answer["answers"]


def difference(one, other):
    """The largest difference of two lists of numbers for each answer."""
    if [len(it) for it in one] != [len(it) for it in other]:
        sys.exit("there are other answers, or other tokens in them")
    return max(abs(a - b) for left, right in zip(one, other) for a, b in zip(left, right))


def models(what, scratch):
    """The model here, and the folder that ours reads."""
    if what == "policy":
        return AutoModelForCausalLM.from_pretrained(options.folder, dtype=torch.float32).eval(), options.folder
    model = AutoModelForSequenceClassification.from_pretrained(options.folder, num_labels=1, dtype=torch.float32).eval()
    model.config.pad_token_id = padding
    folder = os.path.join(scratch, "reward")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model, folder


def measure(what, scratch):
    model, folder = models(what, scratch)
    score = log_probs if what == "policy" else rewards
    file = os.path.join(scratch, "work.jsonl")
    pathlib.Path(file).write_text("".join(json.dumps(row) + "\n" for row in work))
    program = subprocess.Popen(
        [options.program, what, folder, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"RAYON_NUM_THREADS": str(options.threads)})
    total = sum(len(row["answers"]) for row in work)
    ratios, agreed = [], 0.0
    for run in range(options.runs):
        (there, wanted), (here_, found) = theirs(score, model, options.answers), ours(program, options.budgets[0])
        agreed = max(agreed, difference(wanted, found))
        ratios.append(there / here_)
        print(f"{what}: transformers {total / there:.2f} answers/s, ours {total / here_:.2f}, ratio {ratios[-1]:.2f}",
              flush=True)
    for budget in options.budgets[1:]:
        agreed = max(agreed, difference(wanted, ours(program, budget)[1]))
    agreed = max(agreed, difference(theirs(score, model, 1)[1], wanted))
    program.stdin.close()
    program.wait()
    print(f"{what}: median ratio {statistics.median(ratios):.2f}; largest difference {agreed:.1e}", flush=True)
    if agreed > TOLERANCE:
        sys.exit(f"{what}: scores differ by {agreed:.1e}, more than {TOLERANCE}")


with tempfile.TemporaryDirectory() as scratch:
    for what in options.what:
        measure(what, scratch)
