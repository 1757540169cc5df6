"""Sets up Animate Portrait: `python install.py --help`. Standard library only.

This file only turns away a Python that cannot read the rest, in words that Python 2 understands;
the work is in inference_server/installer.
"""

import os
import sys

if sys.version_info < (3, 8):  # noqa: UP036 - the check is for those who do have an older one
    sys.exit(
        "Animate Portrait: Python %s is too old. " % sys.version.split()[0]  # noqa: UP031
        + "Install Python 3.11 from python.org, then run: python3.11 install.py"
    )

sys.dont_write_bytecode = True  # beside us may be Blender's extension folder: leave it clean
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from inference_server.installer.main import main  # noqa: E402 - after the check above

if __name__ == "__main__":
    sys.exit(main())
