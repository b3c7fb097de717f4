# Sourced by the checks: programs for GPUs, and their runs on a CUDA driver without a GPU.

# Everything that has something for a GPU, in one set of features, so that burn is built once more and no oftener.
gpu_features=eurus-cli/cuda,eurus-cli/wgpu,eurus-benches/cuda,eurus-tests/cuda,eurus-tests/wgpu,kernel-parity/cuda,kernel-parity/wgpu
gpu_packages=(-p eurus-cli -p eurus-benches -p eurus-tests -p kernel-parity)

# What can be known of them without linking.
gpu_types() {
    DOCS_RS=1 cargo check --workspace --lib --bins --benches --test it --features "$gpu_features"
}

# The programs' files, by their packages' folders and their names.
gpu_programs() {
    cargo build "${gpu_packages[@]}" --features "$gpu_features" --bins --bench train_step --test it --message-format=json |
        python3 -c '
import json, pathlib, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("executable"):
        folder = pathlib.Path(message["manifest_path"]).parent.name
        print(folder + "/" + message["target"]["name"], message["executable"])' >target/gpu-programs
}

# The file of a program.
gpu_program() { awk -v name="$1" '$1 == name { print $2 }' target/gpu-programs; }

# Without CUDA and without LLVM, and none of either is needed to start.
gpu_links() {
    gpu_programs
    local name
    for name in eurus-cli/eurus benches/train_step tests/it kernel-parity/kernel-parity; do
        ldd "$(gpu_program "$name")" >target/gpu-libraries
        if grep -E 'cuda|nvrtc|cublas|LLVM' target/gpu-libraries; then
            echo "$name is linked with a library of CUDA or with LLVM"
            return 1
        fi
    done
    "$(gpu_program eurus-cli/eurus)" --version
}

null_driver() {
    gpu_programs
    if ! python3 tools/null-cuda/measure.py --fetch; then
        skip "training steps on a CUDA driver without a GPU: NVIDIA's compiler of kernels could not be had from the Python index"
        return
    fi
    python3 tools/null-cuda/measure.py --quick --program "$(gpu_program benches/train_step)"
    python3 tools/null-cuda/answer.py --program "$(gpu_program eurus-cli/eurus)"
}
