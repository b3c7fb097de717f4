#!/usr/bin/env python3
"""Links that lead nowhere: of the built book (`docs/book`), and of the pages of Markdown outside it.

A link within the book must lead to a file of the book, and its anchor to an element there. A link of another page must lead to a
file of this repository, and its anchor to a heading. Links to other sites are not followed. Prints each bad link, and ends with 1
if there are any.
"""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

root = Path(__file__).resolve().parent.parent
book = root / "docs" / "book"


class Page(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, text):
        super().__init__()
        self.links, self.anchors = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name in ("href", "src") and value:
                self.links.append(value)
            if name == "id" or (tag == "a" and name == "name"):
                self.anchors.add(value)


def parts(link):
    """Path and anchor of a link within this repository, or nothing."""
    split = urlsplit(link)
    return None if split.scheme or split.netloc else (unquote(split.path), unquote(split.fragment))


bad, followed = [], 0

pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(book.rglob("*.html"))}
for path, page in pages.items():
    # The page for printing has all others in one, the one for missing pages links from the root of a site.
    if path.name in ("print.html", "404.html", "toc.html"):
        continue
    for link in page.links:
        if not (found := parts(link)):
            continue
        followed += 1
        place, anchor = found
        target = (path.parent / place).resolve() if place else path
        if not target.exists():
            bad.append(f"{path.relative_to(book)}: {link}: there is no such file in the book")
        elif anchor and target.suffix == ".html" and anchor not in pages[target].anchors:
            bad.append(f"{path.relative_to(book)}: {link}: there is no such anchor")


def anchors_of(text):
    """The anchors that a forge gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M), flags=re.M)
    plain = (re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in plain}


listed = subprocess.run(["git", "ls-files", "*.md"], cwd=root, check=True, capture_output=True, text=True).stdout.split()
for name in listed:
    if name.startswith("docs/src/"):
        continue
    path = root / name
    text = path.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)):
        if not (found := parts(link)):
            continue
        followed += 1
        place, anchor = found
        target = (path.parent / place).resolve() if place else path
        if not target.exists():
            bad.append(f"{name}: {link}: there is no such file")
        elif anchor and target.suffix == ".md" and anchor not in anchors_of(target.read_text(encoding="utf-8")):
            bad.append(f"{name}: {link}: there is no such heading")

print("\n".join(bad))
print(f"{len(bad)} bad links of {followed} in {len(pages)} pages of the book and {len(listed)} of Markdown")
sys.exit(bool(bad) or not pages)
