# SPDX-License-Identifier: Apache-2.0
"""Programs and libraries built with CUDA need no library of the toolkit or the driver to start.

usage: check_linked_libraries.py FILE..."""

import re
import subprocess
import sys

for path in sys.argv[1:]:
    printed = subprocess.run(["readelf", "--dynamic", path], capture_output=True, text=True,
                             check=True).stdout
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", printed)
    if "libc.so.6" not in needed:
        sys.exit(f"{path}: readelf's output was not understood")
    cuda = [name for name in needed if re.match(r"lib(cu|nv)", name)]
    if cuda:
        sys.exit(f"{path}: needs {', '.join(cuda)}")
