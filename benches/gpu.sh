#!/usr/bin/env bash
# The first nine minutes on an NVIDIA GPU: whether it computes what the CPU computes, then how fast it is.
#
#   benches/gpu.sh --pack FOLDER [OPTION...]   builds the programs and puts them, and this script, into a folder; options go to cargo
#   FOLDER/gpu.sh [PART...]                    runs there: these parts alone, or all of them in this order
#
#   parity   every kernel, then decoders, trainers and generation, beside the CPU in double precision
#   rates    matrix products and attention of Mistral-7B's layers, beside PyTorch's products where there is one
#   losses   ten steps of SmolLM2-135M's shape on the CPU, on the GPU, and on the GPU in mixed precision
#   1b       steps of a Mistral of 1.1 billion parameters
#   7b       two steps of Mistral-7B's shape, full fine-tuning; activations are computed again where there is no room for them
#   trl      the same two steps by TRL, where Python has it
#
# The folder goes to any machine with a driver and the CUDA toolkit's NVRTC; neither Rust nor this repository is needed there. A file
# of JSON is written when a part ends: RESULTS/PART.json, with its messages in RESULTS/PART.log. RESULTS=FOLDER says where
# (gpu-results). A part that takes too long is ended, and what it had is kept. To try the script out, OPTIONS='--layers 2' goes to every
# training step, and LIMIT=600 is every part's time in seconds.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
parts=(parity rates losses 1b 7b trl)

usage() { sed -n '2,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" | grep -v '^set '; }

# --- here: what has Rust ---------------------------------------------------------------------------------------------------------

# The program that cargo built of a target, by its messages.
built() { sed -n 's/.*"name":"'"$1"'".*"executable":"\([^"]*\)".*/\1/p' "$2" | tail -1; }

pack() {
    local folder messages target
    folder=$(mkdir -p "$1" && cd "$1" && pwd)
    shift
    [ $# -gt 0 ] || set -- --release
    cd "$here/.."
    messages=$(mktemp)
    # CUDA's bindings are those of the compiler that is found; without one they would be the newest there are.
    PATH=$PWD/target/nvrtc/nvidia/cu13/bin:$PATH
    cargo build "$@" --message-format=json-render-diagnostics -p eurus-cli -p eurus-benches -p eurus-tests -p kernel-parity \
        --bins --bench train_step --test it \
        --features eurus-cli/cuda,eurus-benches/cuda,eurus-tests/cuda,kernel-parity/cuda >"$messages"
    for target in eurus train_step it kernel-parity; do
        cp "$(built "$target" "$messages")" "$folder/$target"
        strip "$folder/$target"
    done
    rm "$messages"
    mv "$folder/it" "$folder/device_parity"
    cp benches/gpu.sh benches/gpu_products.py benches/gpu_trl.py "$folder"
    ldd "$folder/eurus"
    if ldd "$folder"/{eurus,train_step,device_parity,kernel-parity} | grep -E 'cuda|nvrtc|cublas|LLVM'; then
        echo "a program is linked with a library of CUDA or with LLVM" >&2
        return 1
    fi
    du -sh "$folder"
    printf '%s bytes packed\n' "$(tar -C "$folder" -c . | xz -T0 | wc -c)"
}

# --- there: what has a GPU -------------------------------------------------------------------------------------------------------

# Where NVRTC and its headers are; CUDA_PATH and LD_LIBRARY_PATH for the programs.
find_toolkit() {
    local nvcc place
    nvcc=$(command -v nvcc || true)
    for place in "${CUDA_PATH:-}" "${nvcc:+$(dirname "$(dirname "$(readlink -f "$nvcc")")")}" /usr/local/cuda; do
        if compgen -G "$place/lib64/libnvrtc.so*" >/dev/null || compgen -G "$place/lib/libnvrtc.so*" >/dev/null; then
            export CUDA_PATH=$place LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$place/lib64:$place/lib
            return
        fi
    done
    echo "no NVRTC: install the CUDA toolkit, or set CUDA_PATH to the folder whose lib64 or lib has libnvrtc.so" >&2
    exit 1
}

# shellcheck disable=SC2086 # Several words.
train_step() { "$here/train_step" "$@" ${OPTIONS:-}; }

# step OPTIONS...: training steps in mixed precision of trees as long as UltraInteract's, forests of 8192 tokens, one a step. No
# minutes go into drawing weights.
step() {
    train_step --what dpo --device cuda --bf16 --lengths ultrainteract --token-budget 8192 --log-prob-chunk 512 \
        --forests-per-step 1 --device-weights "$@"
}

parity() {
    "$here/kernel-parity" --json cuda || true
    if EURUS_DEVICES=cuda "$here/device_parity" device_parity --test-threads 1 >&2; then
        echo '{"device_parity": "passed"}'
    else
        echo '{"device_parity": "failed"}'
    fi
}

rates() {
    "$here/train_step" --rates --device cuda --bf16 --shape mistral-7b --lengths ultrainteract --trees 8 --token-budget 8192
    if python3 -c 'import torch, sys; sys.exit(not torch.cuda.is_available())'; then
        python3 "$here/gpu_products.py"
    else
        echo '{"torch": null}'
        echo "the vendor library's products are left out: this Python has no PyTorch with CUDA" >&2
    fi
}

# The numbers of a list in a line of JSON, one a line.
numbers() { sed 's/.*"'"$1"'":\[\([^]]*\)\].*/\1/' | tr ',' '\n'; }

losses() {
    local of_cpu line
    ten() { train_step --trees 20 --what dpo --no-peak "$@"; }
    of_cpu=$(ten)
    echo "$of_cpu"
    for precision in "" --bf16; do
        line=$(ten --device cuda $precision)
        echo "$line"
        paste <(numbers first_losses <<<"$of_cpu") <(numbers first_losses <<<"$line") | awk -v bf16="${precision:+true}" '
            { apart = $1 - $2; apart = apart < 0 ? -apart : apart; if (apart > most) most = apart }
            END { printf "{\"bf16\": %s, \"losses\": %d, \"largest_difference\": %g}\n", bf16 ? bf16 : "false", NR, most }'
    done
}

1b() { step --shape mistral-1b --trees 8 --warmup-trees 3; }

# The first five trees fill two forests.
7b() {
    step --shape mistral-7b --trees 5 --warmup-trees 2 ||
        step --shape mistral-7b --trees 5 --warmup-trees 2 --recompute
}

trl() {
    if python3 -c 'import torch, trl, sys; sys.exit(not torch.cuda.is_available())'; then
        "$here/train_step" --shape mistral-7b --lengths ultrainteract --trees 5 --write-trees "$results/trees.jsonl"
        python3 "$here/gpu_trl.py" "$results/trees.jsonl"
    else
        echo '{"trl": null}'
        echo "TRL is left out: this Python has not both it and PyTorch with CUDA" >&2
    fi
}

# run PART SECONDS: its lines of JSON, how it ended and how long it took.
run() {
    local part=$1 limit=$2 started=$SECONDS lines status=ended
    printf '== %s\n' "$part"
    # In a process of its own, which can be ended as a whole.
    timeout --kill-after 5 "$limit" "$here/gpu.sh" --part "$part" >"$results/$part.lines" 2>"$results/$part.log" || {
        status=failed
        [ $? -ne 124 ] || status="out of time"
    }
    lines=$(grep '^{' "$results/$part.lines" | paste -sd, || true)
    rm "$results/$part.lines"
    printf '{"part": "%s", "status": "%s", "seconds": %d, "limit": %d, "results": [%s]}\n' \
        "$part" "$status" $((SECONDS - started)) "$limit" "$lines" >"$results/$part.json"
    cut -c -400 "$results/$part.json"
    [ "$status" = ended ] || { tail -3 "$results/$part.log"; ended_badly+=("$part: $status"); }
}

results=${RESULTS:-gpu-results}
case ${1:-} in
-h | --help)
    usage
    exit
    ;;
--pack)
    [ $# -gt 1 ] || { usage >&2; exit 2; }
    shift
    pack "$@"
    exit
    ;;
--part)
    "$2"
    exit
    ;;
esac
for part; do
    [[ " ${parts[*]} " == *" $part "* ]] || { echo "no part $part; there are: ${parts[*]}" >&2; exit 2; }
done
[ -x "$here/train_step" ] || { echo "no programs in $here: \`benches/gpu.sh --pack FOLDER\` makes a folder with them" >&2; exit 1; }
find_toolkit
mkdir -p "$results"
results=$(cd "$results" && pwd)
export RESULTS=$results
if command -v nvidia-smi >/dev/null; then
    nvidia-smi --query-gpu=name,driver_version,memory.total,memory.used --format=csv
fi

# Nine minutes together.
declare -A limits=([parity]=60 [rates]=60 [losses]=90 [1b]=90 [7b]=150 [trl]=90)
ended_badly=()
for part in "${@:-${parts[@]}}"; do
    run "$part" "${LIMIT:-${limits[$part]}}"
done
if [ ${#ended_badly[@]} -gt 0 ]; then
    printf '%s\n' "${ended_badly[@]}"
    exit 1
fi
