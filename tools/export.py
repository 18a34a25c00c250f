"""Export a retrained network: a folder for plain timm, ONNX, and a card with its numbers.

``fewshot export``, as a file of the checkout.
"""

from fewshot_core.start import start_command

if __name__ == "__main__":
    raise SystemExit(start_command("export"))
