#!/usr/bin/env python3
"""Names of this workspace's libraries that can be reached by two public paths within their crate.

Reads what `cargo doc --workspace --no-deps` wrote: an item that a crate exports again is listed there as a re-export
exactly when its first path is public as well. Prints each such name, and ends with 1 if there are any.
"""

import re
import sys
from pathlib import Path

pages = Path(sys.argv[1] if len(sys.argv) > 1 else "target/doc")
entry = re.compile(r'<dt id="reexport\.([^"]+)"><code>(.*?)</code>', re.DOTALL)
target = re.compile(r'title="\w+ ([\w:]+)"')

found = []
crates = 0
for index in sorted(pages.glob("*/index.html")):
    crate = index.parent.name
    if crate in ("src", "static.files", "search.index"):
        continue
    crates += 1
    for page in sorted(index.parent.rglob("index.html")):
        module = "::".join(page.parent.relative_to(pages).parts)
        for name, code in entry.findall(page.read_text(encoding="utf-8")):
            paths = target.findall(code)
            # What comes from another crate has its path there.
            if paths and paths[-1].split("::")[0] == crate:
                found.append(f"{module}::{name} is {paths[-1]} as well")

print("\n".join(found))
print(f"{len(found)} names with two public paths in {crates} crates")
sys.exit(bool(found) or not crates)
