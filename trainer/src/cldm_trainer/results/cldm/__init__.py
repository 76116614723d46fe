"""The tables of the cLDM paper."""
