"""`python -m inference_server`: the same as the command `animate-portrait`."""

from .cli import main

if __name__ == "__main__":
    raise SystemExit(main())
