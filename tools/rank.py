"""Rank scores against a table of true values, beside parameters, FLOPs and random scores.

``fewshot rank``, as a file that ``accelerate launch`` takes.
"""

from fewshot_core.start import start_command

if __name__ == "__main__":
    raise SystemExit(start_command("rank"))
