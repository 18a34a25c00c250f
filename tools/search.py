"""Search an architecture: train the supernets, ask the strategy, keep the best.

``fewshot search``, as a file that ``accelerate launch`` takes.
"""

from fewshot_core.start import start_command

if __name__ == "__main__":
    raise SystemExit(start_command("search"))
