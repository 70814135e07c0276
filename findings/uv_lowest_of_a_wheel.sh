#!/usr/bin/env bash
# uv's --resolution lowest-direct installs the newest of everything that a wheel needs.
#
# Versions: uv 0.13.9.
# Input:    a wheel that needs "packaging>=23.0" and nothing else, installed by its path as a test of the lower bounds does.
# Expected: packaging 23.0, for "lowest-direct" takes the lowest release of direct requirements.
# Seen:     the newest packaging: the wheel is the direct requirement, what it needs is indirect. Of its source's
#           pyproject.toml (-r pyproject.toml) the same requirement gives 23.0.
# Cost:     a CI job "lowest" that tests the newest releases a second time and passes; a lower bound that never worked
#           was found here only after the job was changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q uv==0.13.9
cd "$folder"
python3 - <<'PYTHON'
import zipfile

with zipfile.ZipFile("small-1-py3-none-any.whl", "w") as wheel:
    wheel.writestr("small.py", "")
    wheel.writestr("small-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: small\nVersion: 1\nRequires-Dist: packaging>=23.0\n")
    wheel.writestr("small-1.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr("small-1.dist-info/RECORD", "small.py,,\nsmall-1.dist-info/METADATA,,\nsmall-1.dist-info/WHEEL,,\nsmall-1.dist-info/RECORD,,\n")
PYTHON
printf '[project]\nname = "small"\nversion = "1"\ndependencies = ["packaging>=23.0"]\n' > pyproject.toml
compile() { venv/bin/uv pip compile -q --no-header --no-annotate --resolution lowest-direct --only-binary :all: "$@" | grep '^packaging=='; }
of_wheel=$(echo "small @ file://$PWD/small-1-py3-none-any.whl" | compile -)
of_source=$(compile pyproject.toml)
echo "of the wheel: $of_wheel"
echo "of its source: $of_source"
[ "$of_source" = "packaging==23.0" ] && [ "$of_wheel" != "packaging==23.0" ] || { echo "uv changed" >&2; exit 1; }
