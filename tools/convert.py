"""Convert published data to what this program reads.

``fewshot convert``, as a file of the checkout.
"""

from fewshot_core.start import start_command

if __name__ == "__main__":
    raise SystemExit(start_command("convert"))
