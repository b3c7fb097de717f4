#!/usr/bin/env python3
"""Runs training steps on a CUDA driver that only keeps the books, and says what they ask of it.

Without --layers: a DPO, a KTO and a reward-model step of a decoder of two and of four layers, on trees of few and of many nodes.
From the differences come the launches, uploads and reads of one layer and forest, forward, backward, the reference's pass and
the share of the step's update; the bounds are checked. A program that panics, as one does of which a kernel does not compile, is a
failure too. --quick: the trees of many nodes alone.
With --layers N: one model, one table.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parents[2]
NVRTC = ROOT / "target" / "nvrtc"
# The compiler and the headers of kernels; `nvcc` has the assembler, and tells builds which version to bind.
PACKAGES = ["nvidia-cuda-" + name for name in ("nvrtc", "runtime", "cccl", "crt", "nvcc")] + ["nvidia-nvvm"]
# Of a layer and forest. What is aimed at is 60 and none.
MOST_LAUNCHES = 200
MOST_UPLOADS = 5


def nvrtc():
    """The folder of NVIDIA's compiler and its headers."""
    folder = NVRTC / "nvidia" / "cu13"
    if not list(folder.glob("lib/libnvrtc.so*")) or not (folder / "bin" / "ptxas").exists():
        packages = [f"{name}==13.0.*" for name in PACKAGES]
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(NVRTC)]
        subprocess.run(pip + packages, check=True)
    return folder


def driver(folder):
    """Compiles the driver into a folder."""
    compiler = os.environ.get("CC", sysconfig.get_config_var("CC").split()[0])
    library = folder / "libcuda.so.1"
    source = ROOT / "tools" / "null-cuda" / "null_cuda.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(source)], check=True)


def program(package, name, kind):
    """A program of the workspace, built for CUDA."""
    build = ["cargo", "build", "--package", package, kind, name, "--features", "cuda", "--message-format=json"]
    lines = subprocess.run(build, check=True, stdout=subprocess.PIPE, cwd=ROOT).stdout.splitlines()
    artifacts = (json.loads(line) for line in lines)
    programs = [it["executable"] for it in artifacts if it.get("executable") and it["target"]["name"] == name]
    return programs[-1]


def environment(folder):
    """That of programs which find the driver in a folder, where it is compiled to."""
    driver(folder)
    cuda = nvrtc()
    return dict(os.environ, LD_LIBRARY_PATH=f"{folder}:{cuda / 'lib'}", CUDA_PATH=str(cuda))


def account(executable, options):
    """What a run asked of the driver, and its own line."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        file = folder / "account.json"
        surroundings = dict(environment(folder), NULL_CUDA_ACCOUNT=str(file))
        run = subprocess.run([executable, "--device", "cuda", *options], env=surroundings, stdout=subprocess.PIPE, text=True)
        if run.returncode != 0:
            sys.exit(f"{executable} {' '.join(options)}: ended with {run.returncode}")
        found = json.loads(file.read_text())
        found["run"] = json.loads(run.stdout.splitlines()[-1])
        return found


def options(arguments, layers, what, lengths, trees):
    chosen = ["--layers", str(layers), "--what", what, "--lengths", lengths, "--trees", str(trees), "--trees-per-step", str(trees)]
    chosen += ["--shape", arguments.shape, "--token-budget", str(arguments.token_budget), "--warmup-trees", str(trees), "--no-peak"]
    return chosen + (["--bf16"] if not arguments.f32 else [])


def of_a_layer(executable, arguments, what, lengths, trees):
    """Launches, uploads and reads of one layer and forest, from runs of two and four layers."""
    with ThreadPoolExecutor() as pool:
        runs = (options(arguments, layers, what, lengths, trees) for layers in (2, 4))
        two, four = pool.map(lambda run: account(executable, run), runs)
    # The warm-up is the same work once more.
    forests = 2 * four["run"]["forests"]
    return {name: (four[name] - two[name]) / 2 / forests for name in ("launches", "uploads", "reads")}, four


def check(executable, arguments):
    failures = []
    print("what    nodes a forest   launches a layer   uploads a layer   reads a layer   modules")
    for what in ("dpo", "kto", "rm"):
        for lengths, trees in (("short", 12),) if arguments.quick else (("ultrainteract", 2), ("short", 12)):
            layer, four = of_a_layer(executable, arguments, what, lengths, trees)
            nodes = four["run"]["nodes"] / four["run"]["forests"]
            print(f"{what:5} {nodes:16.1f} {layer['launches']:18.1f} {layer['uploads']:17.1f} {layer['reads']:15.1f} {four['modules']:9}")
            for counted, most in (("launches", MOST_LAUNCHES), ("uploads", MOST_UPLOADS), ("reads", 0)):
                if layer[counted] > most:
                    failures.append(f"{what}, {nodes:.0f} nodes: {layer[counted]:.1f} {counted} a layer, at most {most}")
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
    arguments = parser.parse_args()
    nvrtc()
    if arguments.fetch:
        return
    executable = arguments.program or program("eurus-benches", "train_step", "--bench")
    if arguments.layers:
        found = account(executable, options(arguments, arguments.layers, arguments.what, arguments.lengths, arguments.trees))
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
