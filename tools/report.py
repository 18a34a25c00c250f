"""Write the report of a run anew from what its folder holds, and print its main table.

``fewshot report``, as a file of the checkout.
"""

from fewshot_core.start import start_command

if __name__ == "__main__":
    raise SystemExit(start_command("report"))
