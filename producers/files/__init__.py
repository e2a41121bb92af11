"""Headlines from files and standard input, of any packing, encoding and layout that newstide knows: `read_files`."""

from producers.files.check import Check, check_files
from producers.files.options import Options
from producers.files.reader import read_files

__all__ = ["Check", "Options", "check_files", "read_files"]
