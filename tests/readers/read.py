"""Prints what python-dotenv reads in each file of a folder: NUL-ended fields, see support/readers.rs."""

import logging
import pathlib
import sys

from dotenv import dotenv_values

logging.disable()
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    fields = ["@" + path.name]
    for key, value in dotenv_values(path).items():
        if value is not None:
            fields.append(f"{key}={value}")
    sys.stdout.buffer.write("".join(field + "\0" for field in fields).encode())
