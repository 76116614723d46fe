"""The learned anatomy's bundle."""
