"""Prints what python-dotenv reads in each file of a folder; see tests/support/readers.rs."""

import logging
import pathlib
import sys

from dotenv import dotenv_values
from dotenv.parser import parse_stream

logging.disable()
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    with path.open(encoding="utf-8") as stream:
        complains = any(binding.error for binding in parse_stream(stream))
    fields = ["!@"[not complains] + path.name]
    for key, value in dotenv_values(path).items():
        if value is not None:
            fields.append(f"{key}={value}")
    sys.stdout.buffer.write("".join(field + "\0" for field in fields).encode())
