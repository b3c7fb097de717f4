#!/usr/bin/env python3
"""Checks a program that depends on the libraries with `cuda`, in a folder outside of the workspace, with the lines of the README.

That it needs no LLVM is what the check proves: without the README's `[patch]` a download would begin.
"""

import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = """use eurus::burn::tensor::Device;

fn main() {
    println!("{:?}", Device::cuda(0));
}
"""


def main():
    blocks = re.findall(r"^```toml\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    lines = [block for block in blocks if "[patch.crates-io]" in block]
    if len(lines) != 1:
        sys.exit(f"README.md has {len(lines)} blocks of TOML with a [patch]; one is looked for")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        manifest = '[package]\nname = "dependent"\nversion = "0.1.0"\nedition = "2024"\n\n' + lines[0].replace("../eurus", str(ROOT))
        (folder / "Cargo.toml").write_text(manifest)
        (folder / "src").mkdir()
        (folder / "src" / "main.rs").write_text(PROGRAM)
        # The versions that the workspace was tested with, and its toolchain.
        for file in ("Cargo.lock", "rust-toolchain.toml"):
            (folder / file).write_text((ROOT / file).read_text())
        subprocess.run(["cargo", "check", "--target-dir", str(ROOT / "target" / "dependent")], cwd=folder, check=True)


if __name__ == "__main__":
    main()
