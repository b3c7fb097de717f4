#!/usr/bin/env python3
"""Times two DPO steps of TRL on pre-tokenized trees, after a warm-up step, with random weights of Mistral-7B's shape.

`gpu_trl.py TREES.jsonl`, the file that `train_step --write-trees` writes. TRL is as it is: bfloat16 by autocast over float32
weights, gradients' checkpoints on, AdamW fused, log-probs of the reference computed before. A step has half of the pairs. One line of JSON.
"""

import argparse
import json
import tempfile
import time

import torch
from datasets import Dataset, disable_progress_bars
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import MistralConfig, MistralForCausalLM, PreTrainedTokenizerFast, TrainerCallback
from trl import DPOConfig, DPOTrainer
from trl import __version__ as trl_version

PAD, END = "t0", "t1"


def pairs_of(path):
    """Prompt, chosen and rejected token ids of every pair, and the number of tokens of all trees."""
    pairs, unique = [], 0
    for line in open(path):
        tree = json.loads(line)
        nodes = tree["nodes"]
        unique += sum(len(node["ids"]) for node in nodes)
        for pair in tree["pairs"]:
            prompt, node = [], pair["prompt"]
            while node >= 0:
                prompt = nodes[node]["ids"] + prompt
                node = nodes[node]["parent"]
            pairs.append((prompt, nodes[pair["chosen"]]["ids"], nodes[pair["rejected"]]["ids"]))
    return pairs, unique


def words(ids):
    return " ".join(f"t{id}" for id in ids)


class Clock(TrainerCallback):
    """When training began and every step ended."""

    def __init__(self):
        self.marks = []

    def mark(self):
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.marks.append(time.perf_counter())

    def on_train_begin(self, *_, **__):
        self.mark()

    def on_step_end(self, *_, **__):
        self.mark()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trees")
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--width", type=int, default=4096)
    parser.add_argument("--pairs-at-once", type=int, default=1)
    arguments = parser.parse_args()
    disable_progress_bars()
    pairs, unique = pairs_of(arguments.trees)
    pairs = pairs[: len(pairs) // 2 * 2]
    a_step = len(pairs) // 2
    # The warm-up step is the first one once more.
    rows = pairs[:a_step] + pairs
    vocab = 32000
    config = MistralConfig(
        vocab_size=vocab,
        hidden_size=arguments.width,
        intermediate_size=arguments.width * 7 // 2,
        num_hidden_layers=arguments.layers,
        num_attention_heads=arguments.width // 128,
        num_key_value_heads=max(1, arguments.width // 512),
        max_position_embeddings=32768,
    )
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.device(device):
        model = MistralForCausalLM(config)
    # One word a token.
    table = Tokenizer(models.WordLevel({f"t{id}": id for id in range(vocab)}, unk_token=PAD))
    table.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=table, eos_token=END, pad_token=PAD)
    data = Dataset.from_dict(
        {
            "prompt": [words(prompt) + " " for prompt, _, _ in rows],
            "chosen": [words(chosen) for _, chosen, _ in rows],
            "rejected": [words(rejected) for _, _, rejected in rows],
        }
    )
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        settings = DPOConfig(
            output_dir=folder,
            max_steps=3,
            per_device_train_batch_size=arguments.pairs_at_once,
            gradient_accumulation_steps=a_step // arguments.pairs_at_once,
            learning_rate=5e-7,
            beta=0.1,
            precompute_ref_log_probs=True,
            max_length=None,
            train_sampling_strategy="sequential",
            use_cpu=device == "cpu",
            logging_strategy="no",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        trainer = DPOTrainer(model=model, args=settings, train_dataset=data, processing_class=tokenizer, callbacks=[clock])
        trainer.train()
    steps = [after - before for before, after in zip(clock.marks, clock.marks[1:])][1:]
    naive = sum(2 * len(prompt) + len(chosen) + len(rejected) for prompt, chosen, rejected in pairs)
    result = {
        "trl": trl_version,
        "torch": torch.__version__,
        "card": torch.cuda.get_device_name() if device == "cuda" else None,
        "steps": len(steps),
        "pairs": len(pairs),
        "first_seconds": steps,
        "total_wall_s": sum(steps),
        "unique_tokens": unique,
        "naive_tokens": naive,
        "unique_tokens_per_s": unique / sum(steps),
        "naive_tokens_per_s": naive / sum(steps),
        "device_peak_mib": torch.cuda.max_memory_reserved() / 2**20 if device == "cuda" else None,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
