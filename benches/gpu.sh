#!/usr/bin/env bash
# Measures training steps on an NVIDIA GPU: first whether it computes what the CPU computes, then how fast it is.
#
#   benches/gpu.sh             SmolLM2-135M's shape beside the CPU, then a Mistral of 1.1 billion parameters
#   benches/gpu.sh mistral-7b  and Mistral-7B, which needs about 125 GiB: 18 bytes a parameter
#
# One JSON line a run: time, unique and naive tokens/s, share of the matrix-product speed (MFU), memory of the device.
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --release -p eurus-benches --bench train_step --features cuda
step() { cargo bench -q -p eurus-benches --bench train_step --features cuda -- "$@"; }

cpu=$(step --trees 20 --what dpo)
cuda=$(step --trees 20 --what dpo --device cuda)
printf '%s\n%s\n' "$cpu" "$cuda"
printf '%s\n%s\n' "$cpu" "$cuda" | python3 -c '
import json, sys
cpu, cuda = (json.loads(line)["first_losses"] for line in sys.stdin)
print("largest difference of the first losses:", max(abs(a - b) for a, b in zip(cpu, cuda)))'

for shape in mistral-1b "$@"; do
    for what in dpo nca kto rm; do
        step --shape "$shape" --trees 40 --trees-per-step 8 --token-budget 8192 --what "$what" --bf16 --recompute --device cuda
    done
done
