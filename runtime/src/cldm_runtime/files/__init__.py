"""Bytes on disk, whatever they mean: records, npz, digests, files that appear whole. Imports only errors."""
