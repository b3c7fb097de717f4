#!/usr/bin/env bash
# Makes the README's picture from the page of a run of the quickstart:
#
#     cargo run --release --example quickstart
#     docs/picture.sh [RUN FOLDER]
#
# Needs Chromium (Debian's package `chromium`) and Python 3. The page loads nothing, so that Chromium's own sandbox, which root
# cannot have, is not needed for it.
set -euo pipefail
cd "$(dirname "$0")/.."

page=$(realpath "${1:-target/quickstart}/report.html")
picture=docs/src/images/report.png
width=1100
height=1400
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# The window has a frame that is not seen, and its height is missing at the end of the picture: hence the 200 more, which are cut off.
chromium --headless --no-sandbox --user-data-dir="$scratch/profile" --hide-scrollbars --force-color-profile=srgb \
    --window-size="$width,$((height + 200))" --screenshot="$scratch/whole.png" "file://$page" 2>/dev/null

python3 - "$scratch/whole.png" "$height" "$picture" <<'PYTHON'
import struct, sys, zlib

# Rows at the end of a PNG can be left out as they are: none before them depends on them.
whole, height, picture = open(sys.argv[1], "rb").read(), int(sys.argv[2]), sys.argv[3]
at, header, pixels = 8, b"", b""
while at < len(whole):
    length, kind = struct.unpack(">I4s", whole[at : at + 8])
    data = whole[at + 8 : at + 8 + length]
    header, pixels = (data if kind == b"IHDR" else header), pixels + (data if kind == b"IDAT" else b"")
    at += 12 + length
width, _, depth, color = struct.unpack(">IIBB", header[:10])
row = 1 + width * depth // 8 * {0: 1, 2: 3, 6: 4}[color]
header = struct.pack(">II", width, height) + header[8:]
pixels = zlib.compress(zlib.decompress(pixels)[: row * height], 9)
with open(picture, "wb") as file:
    file.write(whole[:8])
    for kind, data in ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b"")):
        file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
PYTHON
printf '%s of %s\n' "$picture" "$page"
