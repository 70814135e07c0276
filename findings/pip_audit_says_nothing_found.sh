#!/usr/bin/env bash
# pip-audit says "No known vulnerabilities found" and exits 0 when it has audited nothing.
#
# Versions: pip-audit 2.10.1.
# Input:    a list with one package that the public index does not have, as every package is behind a mirror that serves
#           files and not the index's JSON with the advisories.
# Expected: a failure, or at least other words than for a list that was audited.
# Seen:     "No known vulnerabilities found" and exit code 0; only the JSON output says that it was skipped. With
#           --strict it stops at the first such package with exit code 1, so that one package of one's own among the
#           installed ones is enough to make --strict of no use for all the others.
# Cost:     a green audit in CI, for years, of nothing. Count what was audited: dependencies without skip_reason.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pip-audit==2.10.1
cd "$folder"
echo "a-package-that-no-index-has-0b7e==1.0" > requirements.txt
words=(venv/bin/pip-audit -r requirements.txt --disable-pip --no-deps --progress-spinner off)
code=0
"${words[@]}" -f json > found.json 2> said.txt || code=$?
echo "exit code $code: $(grep -i vulnerab said.txt)"
cat found.json
echo
strict=0
"${words[@]}" --strict > /dev/null 2>&1 || strict=$?
echo "with --strict: exit code $strict"
venv/bin/python - "$code" "$strict" <<'PYTHON'
import json
import sys

dependencies = json.load(open("found.json"))["dependencies"]
audited = [each for each in dependencies if "skip_reason" not in each]
print(f"{len(audited)} of {len(dependencies)} audited")
assert (sys.argv[1], sys.argv[2], len(audited), len(dependencies)) == ("0", "1", 0, 1), "pip-audit changed"
assert "No known vulnerabilities found" in open("said.txt").read(), "pip-audit changed"
PYTHON
