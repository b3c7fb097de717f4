"""Times transformers.generate on the work of `benches/generation.rs`: one prompt, 20 samples of 128 tokens.

    python benches/generation.py FOLDER [--threads 2] [--runs 3]      # needs torch and transformers
"""

import argparse
import pathlib
import re
import time

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--runs", type=int, default=3)
options = parser.parse_args()

torch.set_num_threads(options.threads)
source = (pathlib.Path(__file__).parent / "benches" / "generation.rs").read_text()
question = re.sub(r"\\\n\s*", "", re.search(r'QUESTION: &str = "(.*?)";', source, re.S).group(1))
tokenizer = AutoTokenizer.from_pretrained(options.folder)
model = AutoModelForCausalLM.from_pretrained(options.folder, dtype=torch.float32).eval()
text = tokenizer.apply_chat_template(
    [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True)
prompt = tokenizer(text, add_special_tokens=False, return_tensors="pt")
for run in range(options.runs + 1):
    started = time.perf_counter()
    with torch.inference_mode():
        output = model.generate(
            **prompt, do_sample=True, temperature=1.0, top_k=0, top_p=1.0, num_return_sequences=20,
            min_new_tokens=128, max_new_tokens=128)
    seconds = time.perf_counter() - started
    new_tokens = output.shape[0] * (output.shape[1] - prompt["input_ids"].shape[1])
    name = "warm-up" if run == 0 else f"run {run}"
    print(f"{name}: {new_tokens} tokens in {seconds:.2f} s, {new_tokens / seconds:.1f} tokens/s", flush=True)
