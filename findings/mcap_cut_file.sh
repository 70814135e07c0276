#!/usr/bin/env bash
# mcap's make_reader gives no message of a file that is cut off, though nearly all of them are whole in it.
#
# Versions: mcap 1.6.0.
# Input:    100 messages in some 20 chunks, the last quarter of the file cut off as by a power failure.
# Expected: the messages before the cut, then an error.
# Seen:     make_reader raises before the first message, as it looks for the summary at the end of the file, and the
#           error (RecordLengthLimitExceeded) does not say that the file is cut. NonSeekingReader gives what lies before
#           the cut and then raises (EndOfFile, or struct.error, which is no McapError, depending on the place of the
#           cut); but only with log_time_order=False, as by default it reads to the end first, to sort.
# Cost:     the drive that ended in a crash is the one that is thrown away as unreadable.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q mcap==1.6.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import io
import random
import struct

from mcap.exceptions import McapError
from mcap.reader import NonSeekingReader, make_reader
from mcap.writer import Writer

data = io.BytesIO()
writer = Writer(data, chunk_size=1000)
writer.start()
noise = random.Random(0)
channel = writer.register_channel(topic="/camera", message_encoding="raw", schema_id=0)
for number in range(100):
    writer.add_message(channel, log_time=number, publish_time=number, data=noise.randbytes(200))
writer.finish()
cut = data.getvalue()[: len(data.getvalue()) * 3 // 4]


def count(reader, **options):
    """Messages that a reader gives, and the error that it ends in."""
    seen = 0
    try:
        for _ in reader.iter_messages(**options):
            seen += 1
    except (McapError, struct.error) as error:
        return seen, type(error).__name__
    return seen, None


found = {
    "make_reader": count(make_reader(io.BytesIO(cut))),
    "NonSeekingReader": count(NonSeekingReader(io.BytesIO(cut))),
    "NonSeekingReader, log_time_order=False": count(NonSeekingReader(io.BytesIO(cut)), log_time_order=False),
}
for name, (seen, error) in found.items():
    print(f"{name}: {seen} messages, then {error}")
assert [seen for seen, _ in found.values()][:2] == [0, 0], "mcap changed: it reads cut files"
assert 50 < found["NonSeekingReader, log_time_order=False"][0] < 100, "mcap changed: nothing reads cut files"
assert all(error for _, error in found.values())
PYTHON
