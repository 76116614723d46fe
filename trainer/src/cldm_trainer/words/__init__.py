"""Readers of prompts: sentences with known meaning, encoders, what their vectors mean, and how often that is right."""
