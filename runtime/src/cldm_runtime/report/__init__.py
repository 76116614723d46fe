"""Figures for people: page, tables, pictures, score files."""
