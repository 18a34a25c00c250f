"""Train what a search found from scratch, beside a random and the largest architecture.

``fewshot retrain``, as a file that ``accelerate launch`` takes.
"""

from fewshot_core.start import start_command

if __name__ == "__main__":
    raise SystemExit(start_command("retrain"))
