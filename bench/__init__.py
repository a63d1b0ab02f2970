"""How fast irisab is, beside others, in one run: make bench. Start at `__main__.main`."""
