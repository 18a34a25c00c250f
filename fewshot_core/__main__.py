"""``python -m fewshot_core``: the command ``fewshot``, for launchers that take a module."""

from fewshot_core.front import main

if __name__ == "__main__":
    raise SystemExit(main())
