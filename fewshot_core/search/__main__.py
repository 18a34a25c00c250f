"""``accelerate launch -m fewshot_core.search``: the command from an installation."""

from fewshot_core.start import start_command

if __name__ == "__main__":
    raise SystemExit(start_command("search"))
