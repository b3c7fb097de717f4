#!/usr/bin/env python3
"""Assembles every kernel that a program launched, and says how many registers a thread of it takes and what it spills.

The program runs on the driver that only keeps the books; each module that it loads is kept and given to NVIDIA's assembler for the
architecture that it was compiled for. Fails where a kernel of gpu-kernels keeps anything in memory for want of registers, or where the
assembler fails. Without --program that is `kernel-parity`, which runs the kernels of training steps and of generation in every type.
Kernels stand in the order in which they were loaded: those of attention by the number of features of a head.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

import measure

# Some of the kernels that have to be there; their names go on with types and a number.
EXPECTED = ("mix_f_", "query_gradient_", "key_value_gradient_", "mix_piece_")
# What burn and cubek name theirs after.
OTHERS = (
    "binary_", "cast_element_", "copy_", "full_kernel_", "kernel_", "matmul_", "mask_", "prng_", "random_", "reduce_", "scatter_",
    "select_", "shared_sum_", "slice_", "unary_", "uniform_", "normal_",
)


def modules_of(command, folder):
    """Runs a program, whose modules go to a folder; how it ends is not looked at."""
    environment = measure.environment(folder)
    modules = folder / "modules"
    modules.mkdir()
    environment["NULL_CUDA_MODULES"] = str(modules)
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return sorted(modules.iterdir())


def assembled(module, assembler):
    """(name, registers, spilled bytes, bytes of its own in memory, architecture) of each kernel of a module."""
    architecture = re.search(r"^\.target (\w+)", module.read_text(), re.MULTILINE).group(1)
    command = [assembler, "-v", f"-arch={architecture}", "-o", os.devnull, str(module)]
    said = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    if said.returncode != 0:
        sys.exit(f"{module.name}: {said.stderr}")
    for part in said.stderr.split("Compiling entry function")[1:]:
        name = re.search(r"'(\w+)'", part).group(1)
        number = lambda pattern: int((re.search(pattern, part) or [0, "0"])[1])
        spilled = number(r"(\d+) bytes spill stores") + number(r"(\d+) bytes spill loads")
        # What is spilled, and arrays that are not in registers.
        frame = number(r"(\d+) bytes stack frame")
        yield name, number(r"Used (\d+) registers"), spilled, frame, architecture


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", nargs=argparse.REMAINDER, help="a program and its arguments, the last option")
    parser.add_argument("--all", action="store_true", help="the kernels of burn and cubek too")
    arguments = parser.parse_args()
    command = arguments.program or [measure.program("kernel-parity", "kernel-parity", "--bin"), "--json", "cuda"]
    assembler = str(measure.nvrtc() / "bin" / "ptxas")
    os.chmod(assembler, 0o755)
    with tempfile.TemporaryDirectory() as folder:
        modules = modules_of(command, pathlib.Path(folder))
        with ThreadPoolExecutor() as pool:
            lines = pool.map(lambda module: list(assembled(module, assembler)), modules)
            kernels = list(dict.fromkeys(kernel for kernels in lines for kernel in kernels))
    print(f"{len(modules)} modules")
    print("| kernel | registers | spilled bytes | frame | for |\n| --- | ---: | ---: | ---: | --- |")
    failures = []
    for name, registers, spilled, frame, architecture in kernels:
        is_ours = not name.startswith(OTHERS)
        if is_ours and (spilled or frame):
            failures.append(f"{name}: spills {spilled} bytes, and keeps {frame} in memory; none are allowed")
        if arguments.all or is_ours:
            print(f"| {name} | {registers} | {spilled} | {frame} | {architecture} |")
    for expected in EXPECTED:
        if not any(name.startswith(expected) for name, *_ in kernels):
            failures.append(f"no kernel {expected} was loaded")
    if failures:
        sys.exit("\n".join(failures))


if __name__ == "__main__":
    main()
