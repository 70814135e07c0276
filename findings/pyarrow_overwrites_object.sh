#!/usr/bin/env bash
# On S3 pyarrow overwrites what another writer has just written; s3fs and boto3 can write under the condition that nothing is there.
#
# Versions: pyarrow 26.0.1, s3fs 2026.9.0, boto3 1.43.117; moto 5.2.5 as the server.
# Input:    a bucket with the object "part"; each library writes it again.
# Expected: an error, as local files give with mode "x", or a way to ask for one.
# Seen:     pyarrow's S3FileSystem replaces the object and has no such way, and write_table(..., filesystem=...) goes
#           through it; s3fs with mode "create" (and "xb") raises FileExistsError, put_object(IfNoneMatch="*") answers 412.
# Cost:     of two workers that were given the same part, the later one wins; a manifest written from the first is wrong.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q pyarrow==26.0.1 "s3fs==2026.9.0" "moto[server]==5.2.5"
cd "$folder"
AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=b AWS_DEFAULT_REGION=us-east-1 venv/bin/python - <<'PYTHON'
import logging

import boto3
import pyarrow.fs
import s3fs
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
server.start()
host, port = server.get_host_and_port()
url = f"http://{host}:{port}"
system = s3fs.S3FileSystem(endpoint_url=url)
system.mkdir("bucket")
found = {}

system.pipe_file("bucket/part", b"first")
with pyarrow.fs.S3FileSystem(endpoint_override=url).open_output_stream("bucket/part") as out:
    out.write(b"second")
system.invalidate_cache()
found["pyarrow"] = system.cat_file("bucket/part").decode()


def tried(write):
    try:
        write()
        return "overwritten"
    except FileExistsError:
        return "FileExistsError"
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"]


def exclusive():
    with system.open("bucket/part", "xb") as out:
        out.write(b"third")


client = boto3.client("s3", endpoint_url=url)
found["s3fs, create"] = tried(lambda: system.pipe_file("bucket/part", b"third", mode="create"))
found["s3fs, xb"] = tried(exclusive)
found["boto3"] = tried(lambda: client.put_object(Bucket="bucket", Key="part", Body=b"third", IfNoneMatch="*"))
server.stop()
for name, value in found.items():
    print(f"{name}: {value}")
assert list(found.values()) == ["second", "FileExistsError", "FileExistsError", 412], "a library changed"
PYTHON
