"""Bytes on disk, without regard to their meaning: records, npz, digests, atomic writes. Imports only errors."""
