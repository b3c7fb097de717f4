#!/usr/bin/env python3
"""Runs training steps on a CUDA driver that only keeps the books, and says what they ask of it.

Without --layers: a reward-model, a DPO and a KTO step of a decoder of two and of four layers, on trees of few and of many nodes, in
few and in more forests. From the differences come the launches, uploads and reads of one layer and forest: forward and
backward, and the reference's pass where there is one; the bounds are checked. A program that panics, as one does of which a kernel
does not compile, is a failure too. --quick: the trees of many nodes alone.
With --layers N: one model, one table, of a warm-up of two steps and two steps more; the weights are drawn on the device.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parents[2]
NVRTC = ROOT / "target" / "nvrtc"
# The compiler and the headers of kernels; `nvcc` has the assembler, and tells builds which version to bind.
PACKAGES = ["nvidia-cuda-" + name for name in ("nvrtc", "runtime", "cccl", "crt", "nvcc")] + ["nvidia-nvvm"]
# Forward and backward, with DPO and KTO the reference's forward pass, and with KTO those of both models over mismatched responses.
MOST_LAUNCHES_OF_A_LAYER = {"rm": 60, "dpo": 75, "kto": 95}
# Copies of tensors that would be written to and are found in use. How many there are differs from run to run, so they are no part
# of the launches. They are about 0.001 of them; if the sum of every weight's gradient were copied, it would be 0.1.
COPY = "unary_numeric_t_"
MOST_COPIES = 0.03


def nvrtc():
    """The folder of NVIDIA's compiler and its headers."""
    folder = NVRTC / "nvidia" / "cu13"
    if not list(folder.glob("lib/libnvrtc.so*")) or not (folder / "bin" / "ptxas").exists():
        packages = [f"{name}==13.0.*" for name in PACKAGES]
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(NVRTC)]
        subprocess.run(pip + packages, check=True)
    return folder


def stand_in(folder, library, source):
    """Compiles a library into a folder."""
    compiler = os.environ.get("CC", "cc")
    source = ROOT / "tools" / "null-cuda" / source
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", str(folder / library), str(source)], check=True)


def program(package, name, kind):
    """A program of the workspace, built for CUDA."""
    build = ["cargo", "build", "--package", package, kind, name, "--features", "cuda", "--message-format=json"]
    lines = subprocess.run(build, check=True, stdout=subprocess.PIPE, cwd=ROOT).stdout.splitlines()
    artifacts = (json.loads(line) for line in lines)
    programs = [it["executable"] for it in artifacts if it.get("executable") and it["target"]["name"] == name]
    return programs[-1]


def environment(folder, cublaslt=False):
    """That of programs which find the driver, and the library of products, in a folder, where they are compiled to."""
    stand_in(folder, "libcuda.so.1", "null_cuda.c")
    if cublaslt:
        stand_in(folder, "libcublasLt.so.13", "null_cublaslt.c")
    cuda = nvrtc()
    return dict(
        os.environ,
        LD_LIBRARY_PATH=f"{folder}:{cuda / 'lib'}",
        CUDA_PATH=str(cuda),
        # Nothing is faster on a driver that computes nothing, and the real library does not run on it.
        EURUS_PRODUCTS="cublaslt" if cublaslt else "cubek",
    )


def account(executable, options, cublaslt=False, command=()):
    """What a run, of a command of a program that has some, asked of the driver, and its own line."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        file = folder / "account.json"
        surroundings = dict(environment(folder, cublaslt), NULL_CUDA_ACCOUNT=str(file))
        words = [executable, *command, "--device", "cuda", *options]
        run = subprocess.run(words, env=surroundings, stdout=subprocess.PIPE, text=True)
        if run.returncode != 0:
            sys.exit(f"{executable} {' '.join(options)}: ended with {run.returncode}")
        found = json.loads(file.read_text())
        if found["products_refused"] or found["products_unordered"]:
            wrong = f"{found['products_refused']} refused and {found['products_unordered']} out of order"
            sys.exit(f"{executable} {' '.join(options)}: of the matrix products {wrong}")
        found["run"] = json.loads(run.stdout.splitlines()[-1])
        found["tensor_copies"] = sum(count for name, count in found["kernels"].items() if name.startswith(COPY))
        found["launches"] -= found["tensor_copies"]
        return found


def options(arguments, layers, what, lengths, trees):
    chosen = ["--layers", str(layers), "--what", what, "--lengths", lengths, "--trees", str(trees), "--trees-per-step", str(trees)]
    chosen += ["--shape", arguments.shape, "--token-budget", str(arguments.token_budget), "--warmup-trees", str(trees), "--no-peak"]
    return chosen + (["--bf16"] if not arguments.f32 else [])


def of_a_layer(executable, arguments, what, lengths, trees):
    """Launches, uploads and reads of one layer for one forest more, and the run with the most layers and forests.

    A step is run with two and four layers, on so many trees and on twice as many. What four layers ask for beyond two, and more
    forests of a step beyond fewer, is the passes of a layer alone: not the first weights, not the update.
    """
    few, many = trees, 2 * trees
    sizes = [(layers, trees) for layers in (2, 4) for trees in (few, many)]
    with ThreadPoolExecutor() as pool:
        accounts = pool.map(
            lambda size: account(executable, options(arguments, size[0], what, lengths, size[1]), arguments.cublaslt), sizes
        )
        runs = dict(zip(sizes, accounts))
    # The warm-up is the same work once more.
    forests = 2 * (runs[4, many]["run"]["forests"] - runs[4, few]["run"]["forests"])
    of_forest = lambda layers, name: (runs[layers, many][name] - runs[layers, few][name]) / forests
    counts = ("launches", "products", "uploads", "reads")
    return {name: (of_forest(4, name) - of_forest(2, name)) / 2 for name in counts}, runs[4, many]


def check(executable, arguments):
    failures = []
    print("what    nodes a forest   launches a layer   products a layer   uploads a layer   reads a layer   copies   modules")
    for what, most in MOST_LAUNCHES_OF_A_LAYER.items():
        for lengths, trees in (("short", 12),) if arguments.quick else (("ultrainteract", 2), ("short", 12)):
            layer, run = of_a_layer(executable, arguments, what, lengths, trees)
            nodes = run["run"]["nodes"] / run["run"]["forests"]
            counts = f"{layer['launches']:18.1f} {layer['products']:18.1f} {layer['uploads']:17.1f} {layer['reads']:15.1f}"
            copies = run["tensor_copies"] / run["launches"]
            print(f"{what:5} {nodes:16.1f} {counts} {copies:8.3f} {run['modules']:9}")
            if copies > MOST_COPIES:
                failures.append(f"{what}, {nodes:.0f} nodes: {copies:.3f} copies of tensors a launch, at most {MOST_COPIES}")
            for counted, bound in (("launches", most), ("uploads", 0), ("reads", 0)):
                if layer[counted] > bound:
                    failures.append(f"{what}, {nodes:.0f} nodes: {layer[counted]:.1f} {counted} a layer, at most {bound}")
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fetch", action="store_true", help="fetch NVIDIA's compiler, and no more")
    parser.add_argument("--quick", action="store_true", help="trees of many nodes alone")
    parser.add_argument("--program", help="a built train_step, in place of building it")
    parser.add_argument("--shape", default="smollm2-135m")
    parser.add_argument("--layers", type=int)
    parser.add_argument("--what", default="dpo")
    parser.add_argument("--lengths", default="ultrainteract")
    parser.add_argument("--trees", type=int, default=8)
    parser.add_argument("--token-budget", type=int, default=8192)
    parser.add_argument("--f32", action="store_true", help="compute in float32, not bfloat16")
    parser.add_argument("--cublaslt", action="store_true", help="matrix products by a stand-in for cuBLASLt, not by kernels")
    arguments = parser.parse_args()
    nvrtc()
    if arguments.fetch:
        return
    executable = arguments.program or program("eurus-benches", "train_step", "--bench")
    if arguments.layers:
        chosen = options(arguments, arguments.layers, arguments.what, arguments.lengths, arguments.trees)
        # Only from the second step on are there moments beside activations.
        started = time.monotonic()
        chosen += ["--device-weights", "--log-prob-chunk", "512", "--epochs", "2"]
        found = account(executable, chosen, arguments.cublaslt)
        found["seconds"] = round(time.monotonic() - started, 1)
        found["peak_gib"] = round(found["peak_bytes"] / 2**30, 2)
        kernels = found.pop("kernels")
        print(json.dumps(found, indent=1))
        for name, launches in list(kernels.items())[:40]:
            print(f"{launches:9} {name}")
        return
    failures = check(executable, arguments)
    if failures:
        sys.exit("\n".join(failures))


if __name__ == "__main__":
    main()
