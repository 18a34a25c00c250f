"""What can be asked of the program: a module each, found by its name. No torch at import."""
