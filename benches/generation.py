"""Times transformers.generate and `Generator` on the same work, in turn, and prints the median of the ratios.

    cargo build --release -p eurus-models --example generation_speed
    python benches/generation.py FOLDER [--threads 2] [--runs 5] [--work 1x1x128 1x20x128 100x8x32]

needs torch and transformers. Work is PROMPTSxSAMPLESxTOKENS; every sample has all its tokens. transformers reads the prompts
together as far as `--rows` samples go, and no more. Only ratios of one sitting count: other programs slow both.
"""

import argparse
import os
import pathlib
import re
import statistics
import subprocess
import time

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

here = pathlib.Path(__file__).resolve().parent
parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--runs", type=int, default=5)
parser.add_argument("--rows", type=int, default=64)
parser.add_argument("--work", nargs="+", default=["1x1x128", "1x20x128", "100x8x32"])
parser.add_argument("--program", default=str(here.parent / "target/release/examples/generation_speed"))
options = parser.parse_args()

torch.set_num_threads(options.threads)
source = (here.parent / "crates/eurus-models/examples/generation_speed.rs").read_text()
question = re.sub(r"\\\n\s*", "", re.search(r'QUESTION: &str = "(.*?)";', source, re.S).group(1))
tokenizer = AutoTokenizer.from_pretrained(options.folder)
model = AutoModelForCausalLM.from_pretrained(options.folder, dtype=torch.float32).eval()
text = tokenizer.apply_chat_template(
    [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True)
prompt = tokenizer(text, add_special_tokens=False, return_tensors="pt")
ours = subprocess.Popen(
    [options.program, options.folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    env=os.environ | {"RAYON_NUM_THREADS": str(options.threads)})


def seconds_of_transformers(prompts, samples, tokens):
    at_once = max(1, options.rows // samples)
    started = time.perf_counter()
    with torch.inference_mode():
        for first in range(0, prompts, at_once):
            count = min(at_once, prompts - first)
            model.generate(
                **{name: value.repeat(count, 1) for name, value in prompt.items()},
                do_sample=True, temperature=1.0, top_k=0, top_p=1.0, num_return_sequences=samples,
                min_new_tokens=tokens, max_new_tokens=tokens)
    return time.perf_counter() - started


def seconds_of_ours(prompts, samples, tokens):
    print(prompts, samples, tokens, file=ours.stdin, flush=True)
    return float(ours.stdout.readline().split()[0])


for work in options.work:
    numbers = [int(number) for number in work.split("x")]
    total = numbers[0] * numbers[1] * numbers[2]
    if numbers[0] == 1:
        seconds_of_transformers(*numbers), seconds_of_ours(*numbers)  # warm-up
    ratios = []
    for _ in range(options.runs):
        theirs, own = seconds_of_transformers(*numbers), seconds_of_ours(*numbers)
        ratios.append(theirs / own)
        print(f"{work}: transformers {total / theirs:.1f} tokens/s, ours {total / own:.1f}, ratio {ratios[-1]:.2f}",
              flush=True)
    print(f"{work}: median ratio {statistics.median(ratios):.2f}", flush=True)
ours.stdin.close()
ours.wait()
