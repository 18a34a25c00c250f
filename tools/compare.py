"""Compare runs: what they found, how sure that is, and what it cost.

``fewshot compare``, as a file of the checkout.
"""

from fewshot_core.start import start_command

if __name__ == "__main__":
    raise SystemExit(start_command("compare"))
